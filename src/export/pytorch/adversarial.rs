//! Adversarial models.

use super::source::{extents, listed, python};
use super::{Module, Told, normal};
use crate::models::{
    AdversarialLoss, BigGanConfig, DcganConfig, Game, GanConfig, Norm, Penalty, ProganConfig, WaveGanConfig,
};

/// What the classes of an adversarial model have in common.
struct Play<'a> {
    class: &'static str,
    told: Told,
    shape: &'a str,
    latent: usize,
    prior: String,
    game: &'a Game,
    /// Lines that make images of z, and scores of images.
    decode: String,
    score: String,
}

impl Play<'_> {
    /// The class that has both networks, with `more` methods.
    fn class(&self, more: &str) -> String {
        let verdict = match self.game.loss {
            AdversarialLoss::Minimax | AdversarialLoss::NonSaturating => "logits that they are of the data",
            _ => "scores, larger for what looks like the data",
        };
        python!(
            "game.py",
            class = self.class,
            labels = self.told.argument(),
            shape = self.shape,
            latent = self.latent,
            classes = self.told.words(),
            decode = self.decode,
            verdict = verdict,
            score = self.score,
            more = more,
            sample = self.told.sample(self.shape, &self.prior),
        )
    }
}

/// How they play, for the description.
fn rules(game: &Game) -> &'static str {
    match (game.loss, game.penalty) {
        (AdversarialLoss::Wasserstein, Penalty::WganGp) => {
            ", trained as in Gulrajani et al., \"Improved Training of Wasserstein GANs\" (NIPS 2017)"
        }
        (AdversarialLoss::Wasserstein, _) => {
            ", trained as in Arjovsky, Chintala & Bottou, \"Wasserstein GAN\" (ICML 2017)"
        }
        (AdversarialLoss::LeastSquares, _) => {
            ", trained as in Mao et al., \"Least Squares Generative Adversarial Networks\" (ICCV 2017)"
        }
        (_, Penalty::Dragan) => {
            ", trained as in Kodali et al., \"On Convergence and Stability of GANs\" (2017), which is called DRAGAN"
        }
        _ => "",
    }
}

/// Both networks as chains of layers.
fn chains(generator: &[String], discriminator: &[String], [generator_says, discriminator_says]: [String; 2]) -> String {
    python!(
        "adversarial.py",
        generator_says = generator_says,
        generator = listed(generator),
        discriminator_says = discriminator_says,
        discriminator = listed(discriminator),
    )
}

/// Lines as layers.
fn layers_of<const N: usize>(of: [&str; N]) -> Vec<String> {
    of.map(String::from).into()
}

/// The first one.
pub(super) fn gan(c: &GanConfig) -> Module {
    let shape = extents(&[c.channels, c.image, c.image]);
    let (pixels, &GanConfig { latent, hidden, units, pieces, .. }) = (c.channels * c.image * c.image, c);
    let generator = [
        format!("nn.Linear({latent}, {hidden})"),
        "nn.ReLU()".into(),
        format!("nn.Linear({hidden}, {hidden})"),
        "nn.ReLU()".into(),
        format!("nn.Linear({hidden}, {pixels})"),
        "nn.Sigmoid()".into(),
        format!("nn.Unflatten(1, ({shape}))"),
    ];
    let discriminator = [
        "nn.Flatten()".into(),
        "nn.Dropout(0.2)".into(),
        format!("Maxout({pixels}, {units})"),
        "nn.Dropout(0.5)".into(),
        format!("Maxout({units}, {units})"),
        "nn.Dropout(0.5)".into(),
        format!("nn.Linear({units}, 1)"),
    ];
    let play = Play {
        class: "Gan",
        told: Told { classes: 0 },
        shape: &shape,
        latent,
        prior: format!("(2 * torch.rand(n, {latent}, device=device) - 1) * 3**0.5"),
        game: &c.game,
        decode: "return self.generator(z)".into(),
        score: "return self.discriminator(images).flatten()".into(),
    };
    let says = [
        format!("z [n, {latent}], uniform and of variance 1, to images in [0, 1]."),
        "Images in [0, 1] to scores [n, 1].".into(),
    ];
    let body = format!(
        "{}\n\n\n{}\n\n\n{}",
        python!("maxout.py", pieces = pieces),
        chains(&generator, &discriminator, says),
        play.class("")
    );
    let about = format!(
        "A generative adversarial network for images [{shape}], fully connected: Goodfellow et al., \"Generative \
         Adversarial Nets\" (NIPS 2014){}.",
        rules(&c.game)
    );
    Module { about, class: play.class, body, using: play.told.using().into() }
}

/// Deep convolutional ones; nothing for sizes that cannot be.
pub(super) fn dcgan(c: &DcganConfig) -> Option<Module> {
    let plan = c.plan().ok()?;
    let (told, [h, w], planes) = (Told { classes: c.classes }, c.sides(), c.planes());
    let (shape, most, [low, narrow]) = (extents(&[c.channels, c.frames * h, w]), plan.most(), plan.smallest);
    let (z, seen) = (c.latent + c.classes, planes + c.classes);
    let mut generator = match plan.is_deep() {
        true => vec![format!("nn.ConvTranspose2d({z}, {most}, {}, bias=False)", kernel(low, narrow))],
        false => vec![
            format!("nn.Linear({z}, {}, bias=False)", most * low * narrow),
            format!("nn.Unflatten(1, ({most}, {low}, {narrow}))"),
        ],
    };
    generator.extend([format!("nn.BatchNorm2d({most})"), "nn.ReLU()".into()]);
    for (narrow, wide) in plan.steps().rev() {
        generator.push(format!("nn.ConvTranspose2d({wide}, {narrow}, 4, stride=2, padding=1, bias=False)"));
        generator.extend([format!("nn.BatchNorm2d({narrow})"), "nn.ReLU()".into()]);
    }
    let bias = if plan.is_deep() { ", bias=False" } else { "" };
    generator.push(format!("nn.ConvTranspose2d({}, {planes}, 4, stride=2, padding=1{bias})", c.width));
    generator.push("nn.Tanh()".into());

    let normed = |layer: String| match c.discriminator_norm {
        Norm::Spectral => format!("spectral_norm({layer})"),
        Norm::Batch | Norm::None => layer,
    };
    let leaky = || "nn.LeakyReLU(0.2)".to_string();
    let mut discriminator =
        vec![normed(format!("nn.Conv2d({seen}, {}, 4, stride=2, padding=1{bias})", c.width)), leaky()];
    for (narrow, wide) in plan.steps() {
        let is_batch = c.discriminator_norm == Norm::Batch;
        let bias = if is_batch { ", bias=False" } else { "" };
        discriminator.push(normed(format!("nn.Conv2d({narrow}, {wide}, 4, stride=2, padding=1{bias})")));
        discriminator.extend(is_batch.then(|| format!("nn.BatchNorm2d({wide})")));
        discriminator.push(leaky());
    }
    match plan.is_deep() {
        true => {
            discriminator.push(normed(format!("nn.Conv2d({most}, 1, {}, bias=False)", kernel(low, narrow))));
            discriminator.push("nn.Flatten()".into());
        }
        false => {
            discriminator.push("nn.Flatten()".into());
            discriminator.push(normed(format!("nn.Linear({}, 1)", most * low * narrow)));
        }
    }

    let mut decode = told.join("z", "z");
    if plan.is_deep() {
        decode += "\nz = z[:, :, None, None]";
    }
    decode += &match c.frames {
        1 => "\nreturn self.generator(z) * 0.5 + 0.5".into(),
        _ => format!("\nframes = self.generator(z) * 0.5 + 0.5\nreturn frames.reshape(-1, {shape})"),
    };
    let parted = if c.frames > 1 { format!(".reshape(-1, {planes}, {h}, {w})") } else { String::new() };
    let mut score = format!("x = images{parted} * 2 - 1");
    if told.classes > 0 {
        score += &format!("\n# A plane for each class: ones for an image's own.\nplanes = {}", told.one_hot());
        score += "[:, :, None, None]";
        score += &format!("\nx = torch.cat([x, planes.expand(-1, -1, {h}, {w})], 1)");
    }
    score += "\nreturn self.discriminator(x).flatten()";
    let play = Play {
        class: "Dcgan",
        shape: &shape,
        latent: c.latent,
        prior: normal(c.latent),
        game: &c.game,
        decode: decode.trim_start().into(),
        score,
        told,
    };
    let plane = extents(&[planes, h, w]);
    let input = if plan.is_deep() { format!("{z}, 1, 1") } else { z.to_string() };
    let says = [
        format!("z [n, {input}]{} to images [n, {plane}] in [-1, 1].", play.told.says(" with the class")),
        format!("Images [n, {}] in [-1, 1] to scores [n, 1].", extents(&[seen, h, w])),
    ];
    let body = format!("{}\n\n\n{}", chains(&generator, &discriminator, says), play.class(""));
    let classes = match c.classes {
        0 => String::new(),
        n => format!(", of {n} classes that both networks are told (Mirza & Osindero 2014)"),
    };
    let spectral = match c.discriminator_norm {
        Norm::Spectral => ", with spectral norm in the discriminator (Miyato et al. 2018)",
        Norm::Batch | Norm::None => "",
    };
    let what = if c.frames > 1 { format!("films of {} frames", c.frames) } else { "images".into() };
    let about = format!(
        "A deep convolutional GAN for {what} [{shape}]{classes}: Radford, Metz & Chintala, \"Unsupervised Representation \
         Learning with Deep Convolutional Generative Adversarial Networks\" (ICLR 2016){}{spectral}.",
        rules(&c.game)
    );
    Some(Module { about, class: play.class, body, using: play.told.using().into() })
}

/// A kernel's sides, as one number where they are the same.
fn kernel(h: usize, w: usize) -> String {
    if h == w { h.to_string() } else { format!("({h}, {w})") }
}

/// For sounds.
pub(super) fn wavegan(c: &WaveGanConfig) -> Module {
    let shape = extents(&[1, 1, c.length]);
    let stages = (c.length / 16).ilog(4);
    let widest = c.width << (stages - 1);
    let mut generator = vec![
        format!("nn.Linear({}, {})", c.latent, 16 * widest),
        format!("nn.Unflatten(1, ({widest}, 1, 16))"),
        "nn.ReLU()".into(),
    ];
    let mut discriminator = vec![format!("Shorter(1, {})", c.width), "nn.LeakyReLU(0.2)".into()];
    for stage in 1..stages {
        let (wide, narrow) = (widest >> (stage - 1), c.width << (stage - 1));
        generator.extend([format!("Longer({wide}, {})", wide / 2), "nn.ReLU()".into()]);
        discriminator.extend([format!("Shorter({narrow}, {})", 2 * narrow), "nn.LeakyReLU(0.2)".into()]);
    }
    generator.extend([format!("Longer({}, 1)", c.width), "nn.Tanh()".into()]);
    discriminator.extend(["nn.Flatten()".into(), format!("nn.Linear({}, 1)", 16 * widest)]);
    let play = Play {
        class: "WaveGan",
        told: Told { classes: 0 },
        shape: &shape,
        latent: c.latent,
        prior: normal(c.latent),
        game: &c.game,
        decode: "v = self.generator(z)\nreturn 0.5 + 0.5 * v.sign() * torch.log1p(255 * v.abs()) / math.log(256)"
            .into(),
        score: "return self.discriminator(self.amplitudes(images)).flatten()".into(),
    };
    let says = [
        format!("z [n, {}] to amplitudes [n, {shape}] in [-1, 1].", c.latent),
        format!("Amplitudes [n, {shape}] in [-1, 1] to scores [n, 1]."),
    ];
    let amplitudes = "def amplitudes(self, images):\n    \"\"\"Amplitudes in [-1, 1] of sounds in [0, 1], which are \
                      companded by the mu-law.\"\"\"\n    y = images * 2 - 1\n    return y.sign() * (256 ** y.abs() - 1) / 255\n";
    let body = format!(
        "{}\n\n\n{}\n\n\n{}",
        python!("wave.py"),
        chains(&generator, &discriminator, says),
        play.class(amplitudes)
    );
    let about = format!(
        "A WaveGAN for sounds of {} samples, {} in a second: Donahue, McAuley & Puckette, \"Adversarial Audio Synthesis\" \
         (ICLR 2019), without phase shuffle{}.",
        c.length,
        c.rate,
        rules(&c.game)
    );
    let using = format!("{}\nwaves = model.amplitudes(images)", play.told.using());
    Module { about, class: play.class, body, using }
}

/// With a class in every normalisation.
pub(super) fn biggan(c: &BigGanConfig) -> Module {
    let (shape, sides, told) = (extents(&[c.channels, c.image, c.image]), c.sides(), Told { classes: c.classes });
    let part = c.latent / sides.len();
    let attended = |side: usize| if side == c.attention { ", attended=True" } else { "" };
    let ups: Vec<String> = sides
        .windows(2)
        .map(|pair| {
            let [from, side] = [pair[0], pair[1]];
            format!("\"{side}\": Up({}, {}{})", c.width_at(from), c.width_at(side), attended(side))
        })
        .collect();
    let downs = c.downs();
    let blocks: Vec<String> = downs
        .iter()
        .enumerate()
        .map(|(k, down)| {
            let halves = if down.halves { ", halves=True" } else { "" };
            let attended = if down.attended { ", attended=True" } else { "" };
            let first = if k == 0 { ", first=True" } else { "" };
            format!("\"{k}\": Down({}, {}{halves}{first}{attended})", down.channels[0], down.channels[1])
        })
        .collect();
    let judged = downs.last().map_or(c.channels, |down| down.channels[1]);
    let quoted = |names: &[String]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let numbers: Vec<String> = (0..downs.len()).map(|k| k.to_string()).collect();
    let attends = c.attention > 0;
    let networks = python!(
        "biggan.py",
        known = c.embedding + part,
        attention = if attends { python!("attention.py") } else { String::new() },
        asks = if attends { ", attended=False" } else { "" },
        attend = if attends { "self.attention = Attention(outputs) if attended else nn.Identity()" } else { "" },
        attended_y = if attends { "self.attention(y)" } else { "y" },
        latent = c.latent,
        classes = c.classes,
        embedding = c.embedding,
        part = part,
        plane = c.width_at(sides[0]) * sides[0] * sides[0],
        smallest = extents(&[c.width_at(sides[0]), sides[0], sides[0]]),
        ups = listed(&ups),
        width = c.width_at(c.image),
        channels = c.channels,
        sides = quoted(&sides[1..].iter().map(usize::to_string).collect::<Vec<_>>()),
        downs = listed(&blocks),
        judged = judged,
        blocks = format!("[{}]", quoted(&numbers)),
    );
    let play = Play {
        class: "BigGan",
        shape: &shape,
        latent: c.latent,
        prior: normal(c.latent),
        game: &c.game,
        decode: format!("return self.generator(z, {}) * 0.5 + 0.5", told.one_hot()),
        score: format!("return self.discriminator(images * 2 - 1, {})", told.one_hot()),
        told,
    };
    let body = format!("{networks}\n\n\n{}", play.class(""));
    let about = format!(
        "A BigGAN for images [{shape}] of {} classes: Brock, Donahue & Simonyan, \"Large Scale GAN Training for High \
         Fidelity Natural Image Synthesis\" (ICLR 2019){}.",
        c.classes,
        rules(&c.game)
    );
    Module { about, class: play.class, body, using: play.told.using().into() }
}

/// That grow, after so many steps.
pub(super) fn progan(c: &ProganConfig, step: u64) -> Module {
    let (shape, (level, fade)) = (extents(&[c.channels, c.image, c.image]), c.grown(step));
    let side = |level: usize| 4usize << level;
    let wide = |level: usize| c.width_at(level);
    let leaky = "nn.LeakyReLU(0.2)";
    let block = |level: usize, image: String, layers: Vec<String>| {
        let layers: String = listed(&[vec![image], layers].concat()).lines().map(|l| format!("    {l}\n")).collect();
        format!("\"{}\": Block(\n{layers})", side(level))
    };
    let generator = |level: usize| {
        let mut layers = match level {
            0 => vec![format!("EqualConv2d({}, {}, 4, padding=3)", c.latent, wide(0))],
            _ => vec![
                "nn.Upsample(scale_factor=2)".into(),
                format!("EqualConv2d({}, {}, 3, padding=1)", wide(level - 1), wide(level)),
            ],
        };
        layers.extend(layers_of([leaky, "PixelNorm()"]));
        layers.push(format!("EqualConv2d({0}, {0}, 3, padding=1)", wide(level)));
        layers.extend(layers_of([leaky, "PixelNorm()"]));
        block(level, format!("nn.Sequential(EqualConv2d({}, {}, 1, gain=1))", wide(level), c.channels), layers)
    };
    let discriminator = |level: usize| {
        let w = wide(level);
        let layers = match level {
            0 => vec![
                "MinibatchStddev()".into(),
                format!("EqualConv2d({}, {w}, 3, padding=1)", w + 1),
                leaky.into(),
                format!("EqualConv2d({w}, {w}, 4)"),
                leaky.into(),
                "nn.Flatten()".into(),
                format!("EqualLinear({w}, 1)"),
            ],
            _ => vec![
                format!("EqualConv2d({w}, {w}, 3, padding=1)"),
                leaky.into(),
                format!("EqualConv2d({w}, {}, 3, padding=1)", wide(level - 1)),
                leaky.into(),
                "nn.AvgPool2d(2)".into(),
            ],
        };
        block(level, format!("nn.Sequential(EqualConv2d({}, {w}, 1), {leaky})", c.channels), layers)
    };
    let all = |make: &dyn Fn(usize) -> String| listed(&(0..c.levels()).map(make).collect::<Vec<_>>());
    let through = |levels: &mut dyn Iterator<Item = usize>| {
        let names: Vec<String> = levels.map(|level| format!("\"{}\"", side(level))).collect();
        match names.len() {
            0 => String::new(),
            _ => format!("for side in [{}]:\n    x = self[side](x)\n", names.join(", ")),
        }
    };
    let (now, before) = (side(level), side(level.saturating_sub(1)));
    let (generate, judge, faded) = match fade {
        None => (
            format!("{}return self[\"{now}\"].image(x)", through(&mut (0..=level))),
            format!("x = self[\"{now}\"].image(images)\n{}return x", through(&mut (0..=level).rev())),
            String::new(),
        ),
        Some(share) => (
            format!(
                "{}# Training was left while the layers for this side faded in.\nold = \
                 F.interpolate(self[\"{before}\"].image(x), scale_factor=2)\nnew = \
                 self[\"{now}\"].image(self[\"{now}\"](x))\nreturn torch.lerp(old, new, {share:?})",
                through(&mut (0..level))
            ),
            format!(
                "old = self[\"{before}\"].image(F.avg_pool2d(images, 2))\nnew = \
                 self[\"{now}\"](self[\"{now}\"].image(images))\nx = torch.lerp(old, new, {share:?})\n{}return x",
                through(&mut (0..level).rev())
            ),
            format!("x = torch.lerp(F.interpolate(F.avg_pool2d(x, 2), scale_factor=2), x, {share:?})\n"),
        ),
    };
    let factor = c.image / now;
    let (enlarged, reduced) = match factor {
        1 => (String::new(), String::new()),
        _ => (
            format!("images = F.interpolate(images, scale_factor={factor})\n"),
            format!("x = F.avg_pool2d(x, {factor})\n"),
        ),
    };
    let networks = python!(
        "progan.py",
        latent = c.latent,
        side = now,
        generator = all(&generator),
        generate = generate,
        discriminator = all(&discriminator),
        judge = judge,
    );
    let play = Play {
        class: "ProGan",
        told: Told { classes: 0 },
        shape: &shape,
        latent: c.latent,
        prior: normal(c.latent),
        game: &c.game,
        decode: format!(
            "z = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)\nimages = self.generator(z[:, :, None, None]) * \
             0.5 + 0.5\n{enlarged}return images.clamp(0, 1)"
        ),
        score: format!("x = images * 2 - 1\n{reduced}{faded}return self.discriminator(x).flatten()"),
    };
    let body = format!("{networks}\n\n\n{}", play.class(""));
    let grown = match level + 1 == c.levels() {
        true => String::new(),
        false => format!(", of which it has grown to {now}x{now} pixels"),
    };
    let about = format!(
        "A progressively grown GAN for images [{shape}]{grown}: Karras, Aila, Laine & Lehtinen, \"Progressive Growing of \
         GANs for Improved Quality, Stability, and Variation\" (ICLR 2018)."
    );
    Module { about, class: play.class, body, using: play.told.using().into() }
}
