class Generator(nn.Sequential):
    """{{generator_says}}"""

    def __init__(self):
        super().__init__(
            {{generator}}
        )


class Discriminator(nn.Sequential):
    """{{discriminator_says}}"""

    def __init__(self):
        super().__init__(
            {{discriminator}}
        )
