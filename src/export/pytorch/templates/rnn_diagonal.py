class DiagonalLstm(nn.Module):
    """A memory that goes from diagonal to diagonal: of a pixel, from the ones above it and to its left."""

    def __init__(self):
        super().__init__()
        self.gates = {{gate_conv}}
        self.state = nn.Parameter(torch.empty({{gates}}, {{hidden}}, 1, 2))

    def forward(self, x):
        return self.diagonals(self.gates(x))

    def mirrored(self, x):
        """From the ones above and to the right."""
        return self.diagonals(self.gates(x).flip(3)).flip(3)

    def diagonals(self, x):
        # Row i is moved right by i: then the columns are the diagonals of the image.
        n, c, h, w = x.shape
        skewed = torch.stack([F.pad(x[:, :, i], (i, h - 1 - i)) for i in range(h)], 2)
        columns = [column[:, :, None] for column in skewed.unbind(3)]
        y = memory(columns, self.state, (1, 0)).transpose(2, 3)
        return torch.stack([y[:, :, i, i : i + w] for i in range(h)], 2)
