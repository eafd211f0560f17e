def normed(layer):
    """A layer whose weight is divided by its largest singular value (Miyato et al. 2018)."""
    return nn.Sequential(spectral_norm(layer))


class ConditionalNorm(nn.BatchNorm2d):
    """Batch normalisation whose scale and shift follow from what is known of each image."""

    def __init__(self, channels):
        super().__init__(channels, affine=False)
        self.scale = normed(nn.Linear({{known}}, channels, bias=False))
        self.shift = normed(nn.Linear({{known}}, channels, bias=False))

    def forward(self, x, known):
        scale, shift = self.scale(known)[:, :, None, None], self.shift(known)[:, :, None, None]
        return super().forward(x) * (1 + scale) + shift


{{attention}}


class Up(nn.Module):
    """Twice the side."""

    def __init__(self, inputs, outputs{{asks}}):
        super().__init__()
        self.norm1 = ConditionalNorm(inputs)
        self.norm2 = ConditionalNorm(outputs)
        self.conv1 = normed(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv2 = normed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = normed(nn.Conv2d(inputs, outputs, 1))
        {{attend}}

    def forward(self, x, known):
        y = self.conv1(F.interpolate(F.relu(self.norm1(x, known)), scale_factor=2))
        y = self.conv2(F.relu(self.norm2(y, known)))
        y = y + self.skip(F.interpolate(x, scale_factor=2))
        return {{attended_y}}


class Generator(nn.ModuleDict):
    """z [n, {{latent}}] and classes [n, {{classes}}], one-hot, to images in [-1, 1]."""

    def __init__(self):
        super().__init__({
            "embedding": nn.Sequential(nn.Linear({{classes}}, {{embedding}}, bias=False)),
            "first": nn.Sequential(
                spectral_norm(nn.Linear({{part}}, {{plane}})),
                nn.Unflatten(1, ({{smallest}})),
            ),
            {{ups}}
            "last": nn.Sequential(
                nn.BatchNorm2d({{width}}),
                nn.ReLU(),
                spectral_norm(nn.Conv2d({{width}}, {{channels}}, 3, padding=1)),
                nn.Tanh(),
            ),
        })

    def forward(self, z, classes):
        # A part of z for the smallest plane, and one for each block.
        first, *parts = z.split({{part}}, 1)
        classes = self["embedding"](classes)
        x = self["first"](first)
        for side, part in zip([{{sides}}], parts):
            x = self[side](x, torch.cat([classes, part], 1))
        return self["last"](x)


class Down(nn.Module):
    """Half the side, if `halves`. The first block has an image to begin with, and no ReLU."""

    def __init__(self, inputs, outputs, halves=False, first=False{{asks}}):
        super().__init__()
        self.halves, self.first = halves, first
        self.conv1 = normed(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv2 = normed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = normed(nn.Conv2d(inputs, outputs, 1)) if halves or inputs != outputs else nn.Identity()
        {{attend}}

    def forward(self, x):
        y = self.conv1(x if self.first else F.relu(x))
        y = self.conv2(F.relu(y)) + self.skip(x)
        y = F.avg_pool2d(y, 2) if self.halves else y
        return {{attended_y}}


class Discriminator(nn.ModuleDict):
    """Images in [-1, 1] and classes [n, {{classes}}], one-hot, to scores [n]."""

    def __init__(self):
        super().__init__({
            {{downs}}
            "score": normed(nn.Linear({{judged}}, 1)),
            "class": normed(nn.Linear({{classes}}, {{judged}}, bias=False)),
        })

    def forward(self, images, classes):
        x = images
        for block in {{blocks}}:
            x = self[block](x)
        features = F.relu(x).sum((2, 3))
        fits = (self["class"](classes) * features).sum(1)
        return self["score"](features).flatten() + fits
