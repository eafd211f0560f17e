class Halve(nn.Conv2d):
    """A 3x3 convolution of stride 2, padded at the bottom and right only, as TensorFlow does."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 3, stride=2)

    def forward(self, x):
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Double(nn.ConvTranspose2d):
    """Its transpose: without the last row and column."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 3, stride=2)

    def forward(self, x):
        return super().forward(x)[:, :, :-1, :-1]


class ConvVae(nn.Module):
    """Encoder q(z|x) and decoder p(x|z), both convolutional."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            Halve({{channels}}, {{filters1}}),
            nn.ReLU(),
            Halve({{filters1}}, {{filters2}}),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear({{plane}}, {{dense}}),
            nn.ReLU(),
        )
        self.z_mean = nn.Linear({{dense}}, {{latent}})
        self.z_logvar = nn.Linear({{dense}}, {{latent}})
        self.decoder = nn.Sequential(
            nn.Linear({{latent}}, {{plane}}),
            nn.ReLU(),
            nn.Unflatten(1, ({{filters2}}, {{height}}, {{width}})),
            Double({{filters2}}, {{filters2}}),
            nn.ReLU(),
            Double({{filters2}}, {{filters1}}),
            nn.ReLU(),
            nn.ConvTranspose2d({{filters1}}, {{outputs}}, 3, padding=1),
        )

    def posterior(self, images):
        """Mean and log-variance of q(z|x), each [n, {{latent}}], from images [n, {{shape}}] in [0, 1]."""
        h = self.encoder(images)
        return self.z_mean(h), self.z_logvar(h)

    def encode(self, images):
        """The mean of q(z|x)."""
        return self.posterior(images)[0]

    def decode(self, z):
        """The mean images [n, {{shape}}] of p(x|z), from z [n, {{latent}}]."""
        {{mean}}

    {{sample}}
