class RowLstm(nn.Module):
    """A memory that goes from row to row: of a pixel, from the three pixels above it."""

    def __init__(self):
        super().__init__()
        self.gates = MaskedConv2d("B", {{twice}}, {{gates}}, (1, 3), padding=(0, 1))
        self.state = nn.Parameter(torch.empty({{gates}}, {{hidden}}, 1, 3))

    def forward(self, x):
        return memory(self.gates(x).split(1, 2), self.state, (1, 1))
