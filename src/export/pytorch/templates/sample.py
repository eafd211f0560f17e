@torch.no_grad()
def sample(self, n{{asked}}):
    """n new images [n, {{shape}}] in [0, 1]{{of}}."""
    device = next(self.parameters()).device
    {{labels}}
    z = {{prior}}
    return self.decode(z{{given}})
