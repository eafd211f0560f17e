# Peak memory of a DCGAN training step (64x64, as the preset `dcgan`) in PyTorch on the CPU: what its
# allocator holds at most, parameters, gradients and Adam's moments included.
# usage: python3 benches/torch_memory.py BATCH [kept]
# `kept`: the generator's step differentiates through the discriminator step's own fakes, as many
# PyTorch programs have it, and not through fresh ones, as algorithm 1 of Goodfellow et al. 2014.
import json, sys, tempfile
import torch, torch.nn as nn, torch.nn.functional as F

batch, kept, c = int(sys.argv[1]), "kept" in sys.argv, 64

def generator():
    wide, layers = [100, 8 * c, 4 * c, 2 * c, c, 3], []
    for i, (a, b) in enumerate(zip(wide, wide[1:])):
        layers.append(nn.ConvTranspose2d(a, b, 4, 2 if i else 1, 1 if i else 0, bias=False))
        layers += [nn.BatchNorm2d(b), nn.ReLU(inplace=True)] if i < 4 else [nn.Tanh()]
    return nn.Sequential(*layers)

def discriminator():
    wide, layers = [3, c, 2 * c, 4 * c, 8 * c, 1], []
    for i, (a, b) in enumerate(zip(wide, wide[1:])):
        layers.append(nn.Conv2d(a, b, 4, 2 if i < 4 else 1, 1 if i < 4 else 0, bias=False))
        layers += [nn.BatchNorm2d(b)] if 0 < i < 4 else []
        layers += [nn.LeakyReLU(0.2, inplace=True)] if i < 4 else [nn.Flatten(0)]
    return nn.Sequential(*layers)

def train(steps):
    g, d = generator(), discriminator()
    adam_g, adam_d = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (g, d))
    real = torch.rand(batch, 3, 64, 64) * 2 - 1
    noise = lambda: torch.randn(batch, 100, 1, 1)
    for _ in range(steps):
        with torch.set_grad_enabled(kept):
            fake = g(noise())
        loss = F.softplus(-d(real)).mean() + F.softplus(d(fake.detach())).mean()
        adam_d.zero_grad(); loss.backward(); adam_d.step()
        if not kept:
            fake = g(noise())
        loss = F.softplus(-d(fake)).mean()
        adam_g.zero_grad(); d.zero_grad(); loss.backward(); adam_g.step()

# Everything happens under the profiler: it does not see what is freed of what was there before.
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as prof:
    train(3)
with tempfile.NamedTemporaryFile(suffix=".json") as file:
    prof.export_chrome_trace(file.name)
    events = json.load(open(file.name))["traceEvents"]
now = peak = 0
for _, bytes in sorted((e["ts"], e["args"]["Bytes"]) for e in events if e["name"] == "[memory]"):
    now += bytes
    peak = max(peak, now)
print(f"torch {torch.__version__} dcgan batch {batch}{' kept' if kept else ''}: peak {peak/1e6:.1f} MB, {now/1e6:.1f} MB at the end")
