class Classifier(nn.Module):
    """Three convolutions, a hidden layer whose activations are features, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d({{channels}}, {{width}}, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d({{width}}, {{twice}}, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d({{twice}}, {{fourfold}}, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear({{plane}}, {{features}}),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear({{features}}, {{classes}}))

    def features(self, images):
        """Features [n, {{features}}] of images [n, {{shape}}] in [0, 1]."""
        return self.body(images)

    def forward(self, images):
        """Logits of the classes, [n, {{classes}}]."""
        return self.head(self.body(images))
