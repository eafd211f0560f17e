class GaussianMixture(nn.Module):
    """p(x) = sum over j of weight_j N(x; mean_j, diag variance_j), of {{components}} components."""

    def __init__(self):
        super().__init__()
        self.log_weights = nn.Parameter(torch.empty({{components}}, 1))
        self.means = nn.Parameter(torch.empty({{components}}, {{pixels}}))
        self.variances = nn.Parameter(torch.empty({{components}}, {{pixels}}))

    def components(self):
        """Each component's probability, [{{components}}], and its mean image, [{{components}}, {{shape}}]."""
        return self.log_weights.exp().flatten(), self.means.clamp(0, 1).unflatten(1, ({{shape}}))

    def log_prob(self, images):
        """log p(x) of images [n, {{shape}}] in [0, 1], in nats, [n]."""
        normal = torch.distributions.Normal(self.means, self.variances.sqrt())
        joint = normal.log_prob(images.flatten(1)[:, None]).sum(2) + self.log_weights.flatten()
        return joint.logsumexp(1)

    @torch.no_grad()
    def sample(self, n):
        """n new images [n, {{shape}}] in [0, 1]: a component for each, and noise about its mean."""
        which = torch.multinomial(self.log_weights.exp().flatten(), n, replacement=True)
        mean, variance = self.means[which], self.variances[which]
        images = mean + variance.sqrt() * torch.randn_like(mean)
        return images.clamp(0, 1).unflatten(1, ({{shape}}))
