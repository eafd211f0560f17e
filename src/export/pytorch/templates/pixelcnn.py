class PixelCnn(nn.Sequential):
    """p(x) = product of p(x_i | x_1 .. x_(i-1)) over pixels{{colours}}."""

    def __init__(self):
        super().__init__(
            {{layers}}
        )

    def logits(self, images):
        """{{logits}}"""
        return self({{input}})

    {{sample}}
