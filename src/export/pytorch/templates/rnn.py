def memory(lines, state, padding):
    """What an LSTM holds at each of these lines of pixels [n, {{gates}}, 1, length], which its gates are given, after
    the line before; `padding` zeros stand around that."""
    held = []
    cell = 0
    for line in lines:
        if held:
            line = line + F.conv2d(F.pad(held[-1], padding), state)
        o, f, i, g = line.chunk(4, 1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        held.append(torch.sigmoid(o) * torch.tanh(cell))
    return torch.cat(held, 2)


{{lstm}}


class Layer(nn.Module):
    """{{layer_says}}"""

    def __init__(self):
        super().__init__()
        {{directions}}
        self.out = {{out}}

    def forward(self, x):
        {{layer}}


class PixelRnn(nn.Module):
    """p(x) = product of p(x_i | x_1 .. x_(i-1)) over pixels{{colours}}."""

    def __init__(self):
        super().__init__()
        self.first = MaskedConv2d("A", {{channels}}, {{twice}}, 7, padding=3)
        self.layers = nn.Sequential(*[Layer() for _ in range({{layers}})])
        self.last = nn.Sequential(
            {{last}}
        )

    def logits(self, images):
        """{{logits}}"""
        return self.last(self.layers(self.first({{input}})))

    {{sample}}
