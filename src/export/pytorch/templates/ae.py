class Autoencoder(nn.Module):
    """A code of {{latent}} numbers, and images again. Latent vectors z are codes in the units of their own mean and
    deviation, which `code` has kept in training."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear({{pixels}}, {{hidden}}),
            nn.ReLU(),
            nn.Linear({{hidden}}, {{latent}}),
        )
        self.decoder = nn.Sequential(
            nn.Linear({{latent}}, {{hidden}}),
            nn.ReLU(),
            nn.Linear({{hidden}}, {{pixels}}),
            nn.Unflatten(1, ({{shape}})),
        )
        self.code = nn.BatchNorm1d({{latent}}, momentum=0.01, affine=False)

    def encode(self, images):
        """z [n, {{latent}}] of images [n, {{shape}}] in [0, 1]."""
        return self.code(self.encoder(images))

    def decode(self, z):
        """Images of z."""
        deviation = torch.sqrt(self.code.running_var + self.code.eps)
        return torch.sigmoid(self.decoder(z * deviation + self.code.running_mean))

    {{sample}}
