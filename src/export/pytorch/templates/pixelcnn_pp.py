class Conv(nn.Conv2d):
    """A convolution with normalised weights (Salimans & Kingma 2016), of padding left, right, top and bottom."""

    def __init__(self, inputs, outputs, kernel, padding=(0, 0, 0, 0), stride=1):
        super().__init__(inputs, outputs, kernel, stride=stride)
        self.around = padding
        weight_norm(self)

    def forward(self, x):
        return super().forward(F.pad(x, self.around))


class Double(nn.ConvTranspose2d):
    """A transposed convolution with normalised weights, to twice the side, without the first `left` columns."""

    def __init__(self, kernel, left=0):
        super().__init__({{filters}}, {{filters}}, kernel, stride=2)
        self.left = left
        weight_norm(self, dim=1)

    def forward(self, x):
        return super().forward(x)[..., self.left :]


def rows(inputs, outputs, stride=1):
    """Sees the pixel's own row and the one above."""
    return Conv(inputs, outputs, (2, 3), (1, 1, 1, 0), stride)


def corner(inputs, outputs, stride=1):
    """Sees the pixel and those above and to the left."""
    return Conv(inputs, outputs, 2, (1, 0, 1, 0), stride)


def concat_elu(x):
    return F.elu(torch.cat([x, -x], 1))


def down_shift(x):
    return F.pad(x, (0, 0, 1, 0))[:, :, :-1]


def right_shift(x):
    return F.pad(x, (1, 0))[..., :-1]


class Block(nn.Module):
    """A gated residual block, which may see `beside` channels of others."""

    def __init__(self, conv, beside=0):
        super().__init__()
        self.conv_in = conv({{twice}}, {{filters}})
        if beside:
            self.nin = Conv(2 * beside, {{filters}}, 1)
        self.dropout = nn.Dropout({{dropout}})
        self.conv_out = conv({{twice}}, {{twice}})

    def forward(self, x, beside=None):
        y = self.conv_in(concat_elu(x))
        if beside is not None:
            y = y + self.nin(concat_elu(beside))
        a, b = self.conv_out(self.dropout(concat_elu(y))).chunk(2, 1)
        return x + a * torch.sigmoid(b)


class Down(nn.Module):
    """The blocks of both streams at one size: `u` sees the rows above, `ul` the row so far as well, and `u`."""

    def __init__(self, halves):
        super().__init__()
        if halves:
            self.u_halve = rows({{filters}}, {{filters}}, 2)
            self.ul_halve = corner({{filters}}, {{filters}}, 2)
        self.u = nn.ModuleList(Block(rows) for _ in range({{blocks}}))
        self.ul = nn.ModuleList(Block(corner, {{filters}}) for _ in range({{blocks}}))


class Up(nn.Module):
    """The same on the way up, where both see what they were on the way down."""

    def __init__(self, blocks, doubles):
        super().__init__()
        if doubles:
            self.u_double = Double((2, 3), 1)
            self.ul_double = Double(2)
        self.u = nn.ModuleList(Block(rows, {{filters}}) for _ in range(blocks))
        self.ul = nn.ModuleList(Block(corner, {{twice}}) for _ in range(blocks))


def draw(outputs):
    """A pixel [n, {{channels}}] in [0, 1] of what the network says of it, [n, {{outputs}}]."""
    logits, rest = outputs.split([{{components}}, {{rest}}], 1)
    which = torch.multinomial(logits.softmax(1), 1)[:, None, None]
    rest = rest.unflatten(1, ({{channels}}, {{parameters}}, {{components}}))
    {{unbind}} = rest.take_along_dim(which, 3).squeeze(3).unbind(2)
    noise = torch.logit(torch.rand_like(mean).clamp(1e-5, 1 - 1e-5))
    noise = noise * log_scale.clamp(min=-7).exp()
    {{colours}}
    return {{pixel}} / 2 + 0.5


def level(x):
    """The nearest of 256 levels in [-1, 1]."""
    return (x.clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1


class PixelCnnPp(nn.Module):
    """p(x) = product of p(pixel | pixels before it), every factor a mixture of {{components}} logistic variables."""

    def __init__(self):
        super().__init__()
        self.u_init = rows({{seen}}, {{filters}})
        self.ul_init = nn.ModuleList([
            Conv({{seen}}, {{filters}}, (1, 3), (1, 1, 0, 0)),
            Conv({{seen}}, {{filters}}, (2, 1), (0, 0, 1, 0)),
        ])
        self.down = nn.ModuleList([Down(False), Down(True), Down(True)])
        self.up = nn.ModuleList([Up({{more}}, True), Up({{more}}, True), Up({{blocks}}, False)])
        self.out = Conv({{filters}}, {{outputs}}, 1)

    def logits(self, images):
        """{{logits}}"""
        x = images * 2 - 1
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        u = down_shift(self.u_init(x))
        ul = down_shift(self.ul_init[0](x)) + right_shift(self.ul_init[1](x))
        made = [(u, ul)]
        for size, level in enumerate(self.down):
            if size > 0:
                u, ul = level.u_halve(u), level.ul_halve(ul)
                made.append((u, ul))
            for of_u, of_ul in zip(level.u, level.ul):
                u = of_u(u)
                ul = of_ul(ul, u)
                made.append((u, ul))
        u, ul = made.pop()
        for size, level in reversed(list(enumerate(self.up))):
            if size < 2:
                u, ul = level.u_double(u), level.ul_double(ul)
            for of_u, of_ul in zip(level.u, level.ul):
                was_u, was_ul = made.pop()
                u = of_u(u, was_u)
                ul = of_ul(ul, torch.cat([u, was_ul], 1))
        return self.out(F.elu(ul))

    {{sample}}
