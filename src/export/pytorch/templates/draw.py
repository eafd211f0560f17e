@torch.no_grad()
def sample(self, n{{asked}}):
    """n new images [n, {{shape}}] {{values}}{{of}}, drawn pixel by pixel, each from what the network makes of
    those before it."""
    device = next(self.parameters()).device
    images = torch.zeros(n, {{shape}}, device=device)
    {{labels}}
    for y in range({{height}}):
        for x in range({{width}}):
            {{draw}}
    return images
