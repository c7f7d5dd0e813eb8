class SelfAttention(nn.Module):
    """Multi-head self-attention over the steps of a series: rows x channels x steps."""

    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)

    def forward(self, x):
        rows, channels, steps = x.shape
        projected = self.queries_keys_values(x.transpose(1, 2))
        split = projected.reshape(rows, steps, 3, self.heads, channels // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each rows x heads x steps x width
        mixed = functional.scaled_dot_product_attention(query, key, value)
        joined = mixed.transpose(1, 2).reshape(rows, steps, channels)
        return self.projection(joined).transpose(1, 2)
