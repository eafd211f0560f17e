#!/usr/bin/env python3
"""Training steps of limn's presets in PyTorch, timed: the other side of `limn bench step` in benches/gpu.py.

    benches/torchbench.py MODEL [--batch N] [--mode fp32|tf32|amp] [--device cuda|cpu] [--json]
    benches/torchbench.py peaks [--device cuda|cpu] [--json]      what products and copies reach

A step does what limn's does: images go up as bytes; a GAN's generator gets fakes of its own, and the discriminator's
weights get no gradients then. tf32 and amp (f16, with scaled losses) use channels last, the layout that suits them.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def networks28(norm):
    """The generator and the discriminator of dcgan-28; `norm` says whether the latter has batch norm."""
    generator = nn.Sequential(
        nn.Linear(100, 6272, bias=False), nn.Unflatten(1, (128, 7, 7)), nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh())
    middle = [nn.Conv2d(64, 128, 4, 2, 1, bias=not norm)] + ([nn.BatchNorm2d(128)] if norm else [])
    discriminator = nn.Sequential(nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2), *middle, nn.LeakyReLU(0.2),
                                  nn.Flatten(), nn.Linear(6272, 1))
    return [generator, discriminator]


def networks64():
    """Those of dcgan, for 64x64 pixels in colour."""
    up = [nn.Unflatten(1, (100, 1, 1)), nn.ConvTranspose2d(100, 512, 4, bias=False), nn.BatchNorm2d(512), nn.ReLU()]
    down = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for wide in (512, 256, 128):
        up += [nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(wide // 2), nn.ReLU()]
    for wide in (64, 128, 256):
        down += [nn.Conv2d(wide, 2 * wide, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * wide), nn.LeakyReLU(0.2)]
    up += [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
    down += [nn.Conv2d(512, 1, 4, bias=False), nn.Flatten()]
    return [nn.Sequential(*up), nn.Sequential(*down)]


class Vae(nn.Module):
    """784-400-20-400-784; the loss in nats per image."""

    def __init__(self):
        super().__init__()
        self.hidden, self.moments = nn.Linear(784, 400), nn.Linear(400, 40)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

    def forward(self, x):
        x = x.flatten(1)
        mean, log_variance = self.moments(F.relu(self.hidden(x))).chunk(2, 1)
        logits = self.decoder(mean + torch.randn_like(mean) * (0.5 * log_variance).exp())
        divergence = 0.5 * (mean ** 2 + log_variance.exp() - 1.0 - log_variance).sum()
        return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + divergence) / len(x)


class Masked(nn.Conv2d):
    """A convolution whose taps see only what comes before the pixel. `own` adds the pixel itself, and in it the
    channels of the same colour; `whole_rows` counts the middle row as the pixel."""

    def __init__(self, channels, out, kernel, own, colours=1, dilation=1, whole_rows=False):
        padding = tuple(dilation * (side // 2) for side in kernel)
        super().__init__(channels, out, kernel, padding=padding, dilation=dilation)
        mask = torch.zeros(out, channels, *kernel)
        row, column = kernel[0] // 2, kernel[1] // 2
        mask[:, :, :row] = 1.0
        mask[:, :, row, :column] = 1.0
        of_input, of_output = torch.arange(channels) % colours, torch.arange(out) % colours
        seen = (of_input[None] <= of_output[:, None]) if own else (of_input[None] < of_output[:, None])
        if whole_rows:
            mask[:, :, row, :] = float(own)
        else:
            mask[:, :, row, column] = seen.float()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, 1, self.padding, self.dilation)


class Added(nn.Sequential):
    """What goes in is added to what comes out."""

    def forward(self, x):
        return x + super().forward(x)


def levels_loss(logits, x):
    """Cross-entropy over 256 grey levels of every colour; a channel's colour is its remainder."""
    n, colours, height, width = x.shape
    levels = (255.0 * x).round().long()
    return F.cross_entropy(logits.view(n, 256, colours, height, width).float(), levels, reduction="sum") / n


class PixelCnn(nn.Module):
    """A 7x7 convolution, fifteen residual blocks and 1x1 convolutions, which are masked where there are colours."""

    def __init__(self, colours, hidden, last):
        super().__init__()
        def point(channels, out):
            if colours == 1:
                return nn.Conv2d(channels, out, 1)
            return Masked(channels, out, (1, 1), True, colours)
        layers = [Masked(colours, 2 * hidden, (7, 7), False, colours)]
        for _ in range(15):
            layers.append(Added(nn.ReLU(), point(2 * hidden, hidden), nn.ReLU(),
                                Masked(hidden, hidden, (3, 3), True, colours), nn.ReLU(), point(hidden, 2 * hidden)))
        wide = 2 * hidden
        for out in last:
            layers += [nn.ReLU(), point(wide, out)]
            wide = out
        self.layers, self.binary = nn.Sequential(*layers), wide == 1

    def forward(self, x):
        if not self.binary:
            return levels_loss(self.layers(2.0 * x - 1.0), x)
        x = torch.bernoulli(x)
        return F.binary_cross_entropy_with_logits(self.layers(x), x, reduction="sum") / len(x)


class Gated(nn.Module):
    """Two stacks of gated convolutions: one of the rows above, one of the row so far."""

    def __init__(self, wide=64, dilations=(1, 2, 1, 4, 1, 2, 1)):
        super().__init__()
        self.first_above = Masked(1, wide, (3, 3), False, whole_rows=True)
        self.first_left = Masked(1, wide, (1, 3), False)
        self.above = nn.ModuleList(Masked(wide, 2 * wide, (3, 3), True, dilation=d, whole_rows=True) for d in dilations)
        self.left = nn.ModuleList(Masked(wide, 2 * wide, (1, 3), True, dilation=d) for d in dilations)
        self.links = nn.ModuleList(nn.Conv2d(2 * wide, 2 * wide, 1) for _ in dilations)
        self.outs = nn.ModuleList(nn.Conv2d(wide, wide, 1) for _ in dilations)
        self.head = nn.Conv2d(wide, 256, 1)

    def forward(self, x):
        def gate(y):
            signal, valve = y.chunk(2, 1)
            return torch.tanh(signal) * torch.sigmoid(valve)
        v, h = self.first_above(2.0 * x - 1.0), self.first_left(2.0 * x - 1.0)
        for above, left, link, out in zip(self.above, self.left, self.links, self.outs):
            wide = above(v)
            h = h + out(gate(left(h) + link(wide)))
            v = gate(wide)
        return levels_loss(self.head(F.elu(h)), x)


def adam(rate, beta1=0.9, beta2=0.999):
    return lambda weights, fused: torch.optim.Adam(weights, rate, (beta1, beta2), fused=fused)


def rmsprop(rate):
    return lambda weights, _: torch.optim.RMSprop(weights, rate, foreach=True)


GREY, COLOUR64, COLOUR32 = (1, 28, 28), (3, 64, 64), (3, 32, 32)
#: Networks, batch, shape of an image, parameters as `limn plan` counts them, optimiser.
MODELS = {
    "dcgan28": (lambda: networks28(True), 64, GREY, 898_370, adam(2e-4, 0.5)),
    "dcgan64": (networks64, 128, COLOUR64, 6_342_272, adam(2e-4, 0.5)),
    "wgan-gp": (lambda: networks28(False), 64, GREY, 898_242, adam(1e-4, 0.5, 0.9)),
    "vae": (lambda: [Vae()], 128, GREY, 652_824, adam(1e-3)),
    "pixelcnn": (lambda: [PixelCnn(1, 16, [32, 1])], 256, GREY, 53_569, adam(1e-3)),
    "pixelcnn-cifar": (lambda: [PixelCnn(3, 128, [1024, 1024, 768])], 16, COLOUR32, 5_340_416, rmsprop(1e-4)),
    "pixelcnn-gated": (lambda: [Gated()], 128, GREY, 852_160, adam(1e-3)),
}
#: Steps of the critic for one of the generator.
CRITIC_STEPS = 5


class Bench:
    """A model with its optimisers and some batches of bytes."""

    def __init__(self, name, batch, mode, device):
        build, usual, shape, parameters, optimizer = MODELS[name]
        self.name, self.batch, self.device, cuda = name, batch or usual, device, device == "cuda"
        set_mode(mode)
        torch.manual_seed(0)
        self.layout = torch.contiguous_format if mode == "fp32" else torch.channels_last
        self.networks = [network.to(device, memory_format=self.layout) for network in build()]
        found = sum(weight.numel() for network in self.networks for weight in network.parameters())
        if found != parameters:
            raise SystemExit("%s has %d parameters here and %d in limn" % (name, found, parameters))
        self.optimizers = [optimizer(network.parameters(), cuda) for network in self.networks]
        self.amp = mode == "amp"
        self.scaler = torch.amp.GradScaler(device, enabled=self.amp)
        self.rounds = CRITIC_STEPS if name == "wgan-gp" else 1
        self.bytes = [torch.randint(256, (self.batch, *shape), dtype=torch.uint8) for _ in range(8)]
        if cuda:
            self.bytes = [images.pin_memory() for images in self.bytes]

    def images(self):
        self.bytes.append(self.bytes.pop(0))
        x = self.bytes[0].to(self.device, non_blocking=True)
        return x.to(memory_format=self.layout).float() / 255.0

    def cast(self):
        return torch.autocast(self.device, torch.float16, enabled=self.amp)

    def descend(self, k, loss):
        self.optimizers[k].zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizers[k])
        self.scaler.update()

    def fakes(self):
        return self.networks[0](torch.randn(self.batch, 100, device=self.device))

    def step(self):
        if len(self.networks) == 1:
            with self.cast():
                loss = self.networks[0](self.images())
            self.descend(0, loss)
            return loss
        discriminator, wasserstein = self.networks[1], self.name == "wgan-gp"
        for _ in range(self.rounds):
            real = 2.0 * self.images() - 1.0
            with self.cast():
                with torch.no_grad():
                    fake = self.fakes()
                of_real, of_fake = discriminator(real), discriminator(fake)
                if wasserstein:
                    loss = of_fake.mean() - of_real.mean()
                else:
                    loss = F.softplus(-of_real).mean() + F.softplus(of_fake).mean()
            self.descend(1, loss + 10.0 * self.penalty(real, fake) if wasserstein else loss)
        discriminator.requires_grad_(False)
        with self.cast():
            scores = discriminator(self.fakes())
            loss = -scores.mean() if wasserstein else F.softplus(-scores).mean()
        self.descend(0, loss)
        discriminator.requires_grad_(True)
        return loss

    def penalty(self, real, fake):
        """How far the critic's slope between real and fake images is from 1, in f32: f16 would not hold it."""
        along = torch.rand(self.batch, 1, 1, 1, device=self.device)
        x = (along * real + (1.0 - along) * fake.float()).requires_grad_()
        slope, = torch.autograd.grad(self.networks[1](x).sum(), x, create_graph=True)
        return (((slope ** 2).flatten(1).sum(1) + 1e-12).sqrt() - 1.0).square().mean()


def set_mode(mode):
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode == "tf32"


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def measure(name, batch, mode, device, warm, steps, seconds):
    """Steps that are waited for, one by one, and then as many that nobody waits for; fewer on a slow device."""
    bench, clock = Bench(name, batch, mode, device), time.perf_counter
    for _ in range(warm if device == "cuda" else 2):
        bench.step()
    wait(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    alone, start = [], clock()
    while len(alone) < 3 or (len(alone) < steps and clock() - start < seconds):
        before = clock()
        loss = bench.step()
        wait(device)
        alone.append(clock() - before)
    start = clock()
    for _ in alone:
        loss = bench.step()
    wait(device)
    together, median = (clock() - start) / len(alone), statistics.median(alone)
    images = bench.batch * bench.rounds
    return {"model": name, "batch": bench.batch, "mode": mode, "device": on(device), "torch": torch.__version__,
            "median_ms": 1e3 * median, "pipelined_ms": 1e3 * together, "images_per_s": images / median,
            "images_per_s_pipelined": images / together, "steps": len(alone), "loss": loss.item(),
            "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None}


def on(device):
    return torch.cuda.get_device_name() if device == "cuda" else "cpu, %d threads" % torch.get_num_threads()


def peaks(device):
    """Matrix products in three precisions, in TFLOP/s; a copy, in GB/s, reading and writing counted; and an operation
    so small that its time is that of a launch, in microseconds."""
    n = 8192 if device == "cuda" else 1024

    def seconds(work):
        times = []
        for _ in range(6):
            wait(device)
            start = time.perf_counter()
            for _ in range(8):
                work()
            wait(device)
            times.append((time.perf_counter() - start) / 8)
        return statistics.median(times[1:])
    for mode, kind in (("fp32", torch.float32), ("tf32", torch.float32), ("fp16", torch.float16)):
        if device == "cpu" and mode != "fp32":
            continue
        set_mode(mode)
        a, b = (torch.randn(n, n, device=device, dtype=kind) for _ in range(2))
        yield {"peak": "matmul of %d, %s" % (n, mode), "device": on(device),
               "tflops": 2.0 * n ** 3 / seconds(lambda: torch.matmul(a, b)) / 1e12}
    a, b = (torch.empty(n * n, device=device).normal_() for _ in range(2))
    yield {"peak": "copy of %d MiB" % (a.nbytes >> 20), "device": on(device),
           "gb_per_s": 2.0 * a.nbytes / seconds(lambda: a.copy_(b)) / 1e9}
    small = torch.zeros(1024, device=device)
    yield {"peak": "a small addition, of 1000", "device": on(device),
           "us": 1e3 * seconds(lambda: [small.add_(1.0) for _ in range(1000)])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=[*MODELS, "peaks"])
    parser.add_argument("--batch", type=int, default=0, help="images per step; the preset's by default")
    parser.add_argument("--mode", choices=["fp32", "tf32", "amp"], default="fp32")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--warm", type=int, default=10, help="steps before the timed ones")
    parser.add_argument("--steps", type=int, default=50, help="timed steps at most")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long steps are timed at most")
    parser.add_argument("--json", action="store_true", help="an object a line")
    args = parser.parse_args()
    if args.model == "peaks":
        found = peaks(args.device)
    else:
        found = [measure(args.model, args.batch, args.mode, args.device, args.warm, args.steps, args.seconds)]
    for result in found:
        print(json.dumps(result) if args.json else "  ".join("%s %s" % pair for pair in result.items()), flush=True)


if __name__ == "__main__":
    main()
