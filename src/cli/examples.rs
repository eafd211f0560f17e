//! The examples at the end of each command's help. Every one of them can be typed: a test parses them all.

pub const LIMN: &str = "\
Begin with:
  limn train vae            a small model on built-in images, in a minute on most machines
  limn presets              all models there are
  limn train dcgan --data ~/pictures

Exit codes: 0 good, 1 a kernel fell short in `limn check`, 2 bad input or another failure, 130 a
training was interrupted (and saved, if it had begun).";

pub const DEVICES: &str = "\
Examples:
  limn devices
  limn devices --json";

pub const PRESETS: &str = "\
Examples:
  limn presets
  limn presets dcgan-28
  limn presets vae --toml > my.toml";

pub const TRAIN: &str = "\
Examples:
  limn train vae
  limn train dcgan --data ~/pictures --set model.image=128
  limn train my.toml --init runs/vae-1/checkpoint.safetensors --log tensorboard
  limn train --resume runs/vae-1 --steps 20000";

pub const SAMPLE: &str = "\
Examples:
  limn sample runs/vae-1
  limn sample runs/dcgan-28-1 --n 500 --out folder/ --scale 4
  limn sample runs/vae-1 --n 500 --out samples.npz
  limn sample runs/vae-conditional-1 --class 7 --best";

pub const EXPORT: &str = "\
Examples:
  limn export runs/vae-1 --format web
  limn export runs/vae-1 --format pytorch
  limn export runs/vae-1 --format onnx --out vae/
  limn export runs/vae-1 runs/dcgan-28-1 --gallery --out site/";

pub const FILM: &str = "\
Examples:
  limn film runs/dcgan-28-1
  limn film runs/vae-1 --out training.webp --fps 10";

pub const COMPLETE: &str = "\
Examples:
  limn complete runs/pixelcnn-1 --images test --keep upper-half
  limn complete runs/pixelcnn-1 --images photos/ --keep mask.png --scale 4";

pub const LATENT: &str = "\
Examples:
  limn latent runs/vae-1 interpolate
  limn latent runs/vae-conv-1 manifold --out walk.webp --fps 20
  limn latent runs/vae-1 arithmetic --from 7 --to 9";

pub const EVAL: &str = "\
Examples:
  limn eval runs/vae-1
  limn eval runs/vae-static-1 --metric log-p --images 100
  limn eval runs/gan-1 --metric frechet --features runs/classifier-1";

pub const REPORT: &str = "\
Examples:
  limn report runs/vae-1
  limn report runs/vae-1 runs/vae-2 --out compare.html
  limn report runs/vae-1 runs/vae-2 --plot curves.svg";

pub const RUNS: &str = "\
Examples:
  limn runs
  limn runs ~/experiments --json";

pub const COMPARE: &str = "\
Examples:
  limn compare runs/vae-1 runs/vae-2
  limn compare runs/vae-1 runs/vae-2 --json";

pub const PROBE: &str = "\
Examples:
  limn probe runs/dcgan-28-1
  limn probe runs/dcgan-32-1 --data cifar10";

pub const CHECK: &str = "\
Examples:
  limn check
  limn check conv2d matmul --device 0
  limn check --report checks.html";

pub const BENCH: &str = "\
Examples:
  limn bench copy --shape x=1048576 --save copy.json
  limn bench conv2d matmul --report roofline.html
  limn bench step dcgan-28-small
  limn bench roof";

pub const BENCH_STEP: &str = "\
Examples:
  limn bench step vae
  limn bench step runs/vae-1 --batch 64";

pub const BENCH_SAMPLE: &str = "\
Examples:
  limn bench sample pixelcnn-small
  limn bench sample pixelcnn-gated-small --json";

pub const BENCH_ROOF: &str = "\
Examples:
  limn bench roof
  limn bench roof --json";

pub const PROFILE: &str = "\
Examples:
  limn profile vae
  limn profile dcgan-28-small --against precision=mixed
  limn profile vae --trace step.json
  limn profile dcgan-28-small --batch 64";

pub const PLAN: &str = "\
Examples:
  limn plan vae
  limn plan dcgan --set model.image=128 --json";

pub const COMPLETIONS: &str = "\
Examples:
  limn completions bash > ~/.local/share/bash-completion/completions/limn
  limn completions zsh > ~/.zfunc/_limn
  limn completions fish > ~/.config/fish/completions/limn.fish
Where there is no such folder yet, `mkdir -p` makes it; zsh looks into ~/.zfunc where it is in $fpath.";

pub const DATA: &str = "\
Examples:
  limn data list
  limn data show ~/pictures --preset dcgan
  limn data get mnist";

pub const DATA_LIST: &str = "\
Examples:
  limn data list
  limn data list --json";

pub const DATA_GET: &str = "\
Examples:
  limn data get mnist
  limn data get all";

pub const DATA_SHOW: &str = "\
Examples:
  limn data show ~/pictures
  limn data show ~/pictures --preset dcgan
  limn data show mnist --preset vae-conv --size 32 --n 16 --out seen.png";

pub const DATA_CLEAN: &str = "\
Examples:
  limn data clean";
