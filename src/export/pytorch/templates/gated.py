class Above(nn.Module):
    """A 3x3 convolution of which only the first `rows` rows are used: those above the pixel, and its own."""

    def __init__(self, inputs, outputs, rows, dilation=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)
        self.rows, self.dilation = rows, dilation

    def forward(self, x):
        d = self.dilation
        y = F.pad(x, (d, d, d, 0))
        y = F.conv2d(y, self.conv.weight[:, :, : self.rows], self.conv.bias, dilation=d)
        return y[:, :, : x.shape[2]]


class Left(nn.Module):
    """A 1x3 convolution of which only the first `taps` are used: the pixel to the left, and its own."""

    def __init__(self, inputs, outputs, taps, dilation=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, (1, 3))
        self.taps, self.dilation = taps, dilation

    def forward(self, x):
        y = F.pad(x, (self.dilation, 0))
        y = F.conv2d(y, self.conv.weight[..., : self.taps], self.conv.bias, dilation=(1, self.dilation))
        return y[..., : x.shape[3]]


def gate(x):
    """tanh of one half of the channels times sigmoid of the other."""
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


class GatedBlock(nn.Module):
    """A vertical stack, which sees the rows above, and a horizontal one, which sees it and the row so far."""

    def __init__(self, dilation):
        super().__init__()
        self.conv_vert = Above({{hidden}}, {{twice}}, 2, dilation)
        self.conv_horiz = Left({{hidden}}, {{twice}}, 2, dilation)
        self.conv_vert_to_horiz = nn.Conv2d({{twice}}, {{twice}}, 1)
        self.conv_horiz_1x1 = nn.Conv2d({{hidden}}, {{hidden}}, 1)
        {{class_layers}}

    def forward(self, vertical, horizontal{{classes}}):
        above = self.conv_vert(vertical)
        both = self.conv_vert_to_horiz(above) + self.conv_horiz(horizontal)
        {{told}}
        return gate(above), self.conv_horiz_1x1(gate(both)) + horizontal


class GatedPixelCnn(nn.Module):
    """p(x) = product of p(x_i | x_1 .. x_(i-1){{given}}) over pixels."""

    def __init__(self):
        super().__init__()
        self.conv_vstack = Above(1, {{hidden}}, 1)
        self.conv_hstack = Left(1, {{hidden}}, 1)
        self.conv_layers = nn.ModuleList(GatedBlock(dilation) for dilation in {{dilations}})
        self.conv_out = nn.Conv2d({{hidden}}, {{outputs}}, 1)

    def logits(self, images{{labels}}):
        """{{logits}}"""
        {{one_hot}}
        x = images * 2 - 1
        vertical, horizontal = self.conv_vstack(x), self.conv_hstack(x)
        for layer in self.conv_layers:
            vertical, horizontal = layer(vertical, horizontal{{classes}})
        return self.conv_out(F.elu(horizontal))

    {{sample}}
