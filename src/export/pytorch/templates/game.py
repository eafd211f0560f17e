class {{class}}(nn.Module):
    """Generator and discriminator."""

    def __init__(self):
        super().__init__()
        self.generator = Generator()
        self.discriminator = Discriminator()

    def decode(self, z{{labels}}):
        """Images [n, {{shape}}] in [0, 1] of latent vectors z [n, {{latent}}]{{classes}}."""
        {{decode}}

    def score(self, images{{labels}}):
        """The discriminator's {{verdict}}, [n], of images [n, {{shape}}] in [0, 1]{{classes}}."""
        {{score}}

    {{more}}

    {{sample}}
