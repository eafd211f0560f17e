class Residual(nn.Sequential):
    """x + body(x)."""

    def __init__(self):
        super().__init__(
            {{block}}
        )

    def forward(self, x):
        return x + super().forward(x)
