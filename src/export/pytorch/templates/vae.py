class Vae(nn.Module):
    """Encoder q(z|{{given}}) and decoder p(x|{{told}}), fully connected."""

    def __init__(self):
        super().__init__()
        # From pixels to the mean and the log-variance of z.
        {{encoder}}
        self.fc21 = nn.Linear({{hidden}}, {{latent}})
        self.fc22 = nn.Linear({{hidden}}, {{latent}})
        # From z to the logits of pixels.
        {{decoder}}
        self.fc4 = nn.Linear({{hidden}}, {{pixels}})

    def posterior(self, images{{labels}}):
        """Mean and log-variance of q(z|{{given}}), each [n, {{latent}}], from images [n, {{shape}}] in [0, 1]{{classes}}."""
        h = images.flatten(1)
        {{join_images}}
        {{encode}}
        return self.fc21(h), self.fc22(h)

    def encode(self, images{{labels}}):
        """The mean of q(z|{{given}})."""
        return self.posterior(images{{labels}})[0]

    def decode(self, z{{labels}}):
        """The mean images [n, {{shape}}] of p(x|{{told}}), from z [n, {{latent}}]{{classes}}."""
        {{join_z}}
        {{decode}}
        return torch.sigmoid(self.fc4(h)).unflatten(1, ({{shape}}))

    {{sample}}
