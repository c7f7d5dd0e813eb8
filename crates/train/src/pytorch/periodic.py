class Periodic(nn.Module):
    """Each value of a row, and its sines and cosines at frequencies of its own: rows x features."""

    def __init__(self, features, frequencies):
        super().__init__()
        self.frequency = nn.Parameter(torch.zeros(features, frequencies))

    def forward(self, x):
        value = x[:, :, None]
        angle = value * (2 * torch.pi * self.frequency)
        return torch.cat([value, torch.sin(angle), torch.cos(angle)], dim=2).flatten(1)
