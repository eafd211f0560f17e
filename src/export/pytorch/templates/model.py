"""{{about}}

{{origin}}
"""

{{imports}}


{{body}}


def load():
    """The trained model, with the weights that lie beside this file."""
    model = {{class}}()
    model.load_state_dict(load_file(Path(__file__).with_name("weights.safetensors")))
    return model.eval()
