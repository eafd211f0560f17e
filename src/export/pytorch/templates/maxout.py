class Maxout(nn.Linear):
    """Each unit is the largest of {{pieces}} linear ones (Goodfellow et al. 2013)."""

    def __init__(self, inputs, units):
        super().__init__(inputs, {{pieces}} * units)

    def forward(self, x):
        return super().forward(x).unflatten(1, ({{pieces}}, -1)).amax(1)
