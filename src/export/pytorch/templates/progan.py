class EqualConv2d(nn.Conv2d):
    """Weights are stored as N(0, 1) and used times gain / sqrt(fan-in), so that all layers learn at one rate."""

    def __init__(self, inputs, outputs, kernel, padding=0, gain=2**0.5):
        super().__init__(inputs, outputs, kernel, padding=padding)
        self.scale = gain / (inputs * kernel**2) ** 0.5

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.scale, self.bias)


class EqualLinear(nn.Linear):
    """The same."""

    def forward(self, x):
        return F.linear(x, self.weight / self.in_features**0.5, self.bias)


class PixelNorm(nn.Module):
    """Brings the channels of each pixel to one length."""

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class MinibatchStddev(nn.Module):
    """One channel more, which tells how unlike one another the images of a group are."""

    def forward(self, x):
        n, c, h, w = x.shape
        group = next(size for size in (4, 3, 2, 1) if n % size == 0)
        spread = x.unflatten(0, (group, -1)).var(0, correction=0)
        deviation = torch.sqrt(spread + 1e-8).mean((1, 2, 3))
        return torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(n, 1, h, w)], 1)


class Block(nn.Sequential):
    """A side's layers, and beside them `image`, which makes an image of features or features of an image."""

    def __init__(self, image, *layers):
        super().__init__(*layers)
        self.image = image

    def forward(self, x):
        for layer in list(self)[:-1]:
            x = layer(x)
        return x


class Generator(nn.ModuleDict):
    """z [n, {{latent}}, 1, 1] to images of {{side}}x{{side}} pixels in about [-1, 1]."""

    def __init__(self):
        super().__init__({
            {{generator}}
        })

    def forward(self, z):
        x = z
        {{generate}}


class Discriminator(nn.ModuleDict):
    """Images of {{side}}x{{side}} pixels in [-1, 1] to scores [n, 1]."""

    def __init__(self):
        super().__init__({
            {{discriminator}}
        })

    def forward(self, images):
        {{judge}}
