class MaskedConv2d(nn.Conv2d):
    """A convolution that sees the pixels before its own in raster order{{and}}."""

    def __init__(self, kind, inputs, outputs, kernel, padding=0):
        super().__init__(inputs, outputs, kernel, padding=padding)
        height, width = self.kernel_size
        mask = torch.zeros_like(self.weight)
        mask[:, :, : height // 2] = 1
        mask[:, :, height // 2, : width // 2] = 1
        {{centre}}
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.mask, self.bias)
