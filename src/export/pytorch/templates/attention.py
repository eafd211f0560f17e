class Attention(nn.Module):
    """What every position takes from all others (Zhang et al. 2019), times gamma, which started at 0."""

    def __init__(self, channels):
        super().__init__()
        compared, taken = max(channels // 8, 1), max(channels // 2, 1)
        self.query = normed(nn.Conv2d(channels, compared, 1, bias=False))
        self.key = normed(nn.Conv2d(channels, compared, 1, bias=False))
        self.value = normed(nn.Conv2d(channels, taken, 1, bias=False))
        self.out = normed(nn.Conv2d(taken, channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        query = self.query(x).flatten(2)
        key = F.max_pool2d(self.key(x), 2).flatten(2)
        value = F.max_pool2d(self.value(x), 2).flatten(2)
        shares = F.softmax(query.transpose(1, 2) @ key, -1)
        taken = (value @ shares.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.out(taken)
