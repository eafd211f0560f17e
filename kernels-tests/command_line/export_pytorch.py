"""Holds exported PyTorch models against what limn computed.

usage: python3 export_pytorch.py check FOLDER...      a line for each: its name, the function, the difference
       python3 export_pytorch.py change FOLDER        moves all weights, saves them and what then comes out
"""
import importlib.util
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def opened(folder):
    """The module model.py in this folder."""
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def outputs(model, given):
    """What the model makes of the inputs, by the names that limn has for it."""
    labels = [given["labels"].argmax(1)] if "labels" in given else []
    out = {}
    if "z" in given:
        out["decode"] = model.decode(given["z"], *labels)
    if hasattr(model, "encode"):
        out["encode"] = model.encode(given["images"], *labels)
    if hasattr(model, "logits"):
        out["logits"] = model.logits(given["images"], *labels)
    if hasattr(model, "features"):
        out["features"] = model.features(given["images"])
        out["cross_entropy"] = -model(given["images"]).log_softmax(1).gather(1, labels[0][:, None])[:, 0]
    if hasattr(model, "components"):
        out["weights"], out["means"] = model.components()
        out["nll"] = -model.log_prob(given["images"])
    if hasattr(model, "score"):
        out["score"] = model.score(given["images"], *labels)
        out["probability"] = out["score"].sigmoid()
    return out


def check(folder):
    file = load_file(folder / "weights.safetensors")
    model = opened(folder).load()
    state = {name for name in model.state_dict() if not name.endswith(".num_batches_tracked")}
    assert state == set(file), state ^ set(file)
    type(model)().load_state_dict(file, strict=True)
    tensors = load_file(folder / "expected.safetensors")
    given = {name[3:]: value for name, value in tensors.items() if name.startswith("in.")}
    got = outputs(model, given)
    wanted = {name[4:]: value for name, value in tensors.items() if name.startswith("out.")}
    assert wanted
    for name, want in wanted.items():
        assert got[name].shape == want.shape, (name, got[name].shape, want.shape)
        difference = (got[name] - want).abs().max() / want.abs().max()
        print(folder.name, name, f"{difference:.2e}")
    if hasattr(model, "sample"):
        shape = given["images"].shape[1:]
        images = [model.sample(2)] + ([model.sample(2, 1), model.sample(2, [0, 1])] if "labels" in given else [])
        for drawn in images:
            assert drawn.shape == (2, *shape) and drawn.isfinite().all(), drawn.shape
            assert drawn.min() >= 0 and drawn.max() <= 1 and drawn.unique().numel() > 1
        print(folder.name, "sample", 0)


def change(folder):
    model = opened(folder).load()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "changed.safetensors")
    tensors = load_file(folder / "expected.safetensors")
    given = {name[3:]: value for name, value in tensors.items() if name.startswith("in.")}
    save_file(outputs(model, given), folder / "after.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[2:]:
        {"check": check, "change": change}[sys.argv[1]](Path(name))
