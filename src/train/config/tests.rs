//! What configuration files may say, and what the presets' networks weigh.

use super::*;
use crate::kernels::rmsprop::RmspropRule;
use crate::models::{DcganConfig, VaeConfig};

fn load(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    let shown = format!("{}", dir.path().display());
    Config::load(path.to_str().unwrap()).map_err(|e| e.to_string().replace(&shown, "").replace(['/', '\\'], ""))
}

#[test]
fn every_preset_parses_builds_and_comes_back_from_its_own_toml() {
    for (name, text) in presets() {
        let config = Config::load(name).unwrap();
        config.validate().unwrap();
        assert_eq!(config.name, *name);
        assert_eq!(load(text).unwrap(), Config { name: "mine".into(), ..config.clone() });
        assert_eq!(load(&config.to_toml().unwrap()).unwrap(), config);
    }
}

#[test]
fn parameters_are_counted_as_the_papers_have_them() {
    let counts = |name: &str| -> Vec<usize> {
        let model = Config::preset(name).unwrap().model.build().unwrap();
        model.networks().iter().map(|n| n.count()).collect()
    };
    assert_eq!(counts("vae"), [652_824]);
    assert_eq!(counts("vae-conv"), [134_165]);
    // Ten more inputs to a layer of 400 on each side.
    assert_eq!((counts("vae-conditional"), 652_824 + 2 * 10 * 400), (vec![660_824], 660_824));
    let dense = |inputs: usize, outputs: usize| inputs * outputs + outputs;
    // In, hidden, hidden, mean and log-variance; latent, hidden, hidden, out.
    let deep = |hidden: usize, latent: usize| {
        let sides = dense(784, hidden) + dense(latent, hidden) + 2 * dense(hidden, hidden);
        sides + 2 * dense(hidden, latent) + dense(hidden, 784)
    };
    assert_eq!((counts("vae-iwae"), deep(200, 50)), (vec![425_284], 425_284));
    assert_eq!((counts("vae-static"), deep(256, 128)), (vec![632_848], 632_848));
    // Of each component a weight, a mean and a variance.
    assert_eq!((counts("gmm"), counts("gmm-small")), (vec![100 * (1 + 2 * 784)], vec![31_380]));
    assert_eq!(counts("ae"), [dense(784, 400) + dense(400, 20) + dense(20, 400) + dense(400, 784)]);
    let mut two = Config::preset("vae-conv").unwrap();
    two.set("model.decoder=gaussian".parse().unwrap()).unwrap();
    assert_eq!(two.model.build().unwrap().networks()[0].count(), 134_165 + 9 * 32 + 1);
    // A convolution with all of its taps, the masked ones too, and its biases.
    let conv = |inputs: usize, outputs: usize, taps: usize| inputs * outputs * taps + outputs;
    let block = |h: usize| conv(2 * h, h, 1) + conv(h, h, 9) + conv(h, 2 * h, 1);
    let masked = |h: usize| conv(1, 2 * h, 49) + 15 * block(h) + conv(2 * h, 2 * h, 1) + conv(2 * h, 1, 1);
    assert_eq!((counts("pixelcnn"), masked(16)), (vec![53_569], 53_569));
    let ends = conv(3, 256, 49) + conv(256, 1024, 1) + conv(1024, 1024, 1) + conv(1024, 3 * 256, 1);
    assert_eq!(counts("pixelcnn-cifar"), [ends + 15 * block(128)]);
    let gated = conv(64, 128, 9) + conv(64, 128, 3) + conv(128, 128, 1) + conv(64, 64, 1);
    let ends = conv(1, 64, 9) + conv(1, 64, 3) + conv(64, 256, 1);
    assert_eq!((counts("pixelcnn-gated"), ends + 7 * gated), (vec![852_160], 852_160));
    // Ten classes add to both gates of each of seven blocks.
    assert_eq!(counts("pixelcnn-gated-conditional"), [852_160 + 7 * 2 * 10 * 128]);
    // Every output of a convolution has a length and a bias. Blocks: kernels 2x3 and 2x2, twice as
    // many channels in and, for the gate, out; 1x1 convolutions to what is seen beside, of
    // concatenated ELUs.
    let normed = |inputs: usize, outputs: usize, taps: usize| inputs * outputs * taps + 2 * outputs;
    let plus = |colours: usize, f: usize, blocks: usize, mixture: usize| {
        let block = |taps: usize, beside: usize| {
            normed(2 * f, f, taps) + normed(2 * f, 2 * f, taps) + if beside > 0 { normed(2 * beside, f, 1) } else { 0 }
        };
        let starts = normed(colours + 1, f, 6) + normed(colours + 1, f, 3) + normed(colours + 1, f, 2);
        let down = 3 * blocks * (block(6, 0) + block(4, f));
        let up = (3 * blocks + 2) * (block(6, f) + block(4, 2 * f));
        let resized = 2 * 2 * (normed(f, f, 6) + normed(f, f, 4));
        starts + down + up + resized + normed(f, (1 + 3 * colours) * mixture, 1)
    };
    assert_eq!((counts("pixelcnn++"), plus(3, 160, 5, 10)), (vec![53_659_080], 53_659_080));
    assert_eq!(counts("pixelcnn++-small"), [plus(3, 16, 1, 5)]);
    // Input to state and state to state of four gates for each memory, and from states to what is
    // added.
    let recurrent = |layers: usize, memories: usize, [input, state]: [usize; 2]| {
        let memory = conv(32, 64, input) + 64 * 16 * state;
        conv(1, 32, 49) + layers * (memories * memory + conv(16, 32, 1))
    };
    let ends = [conv(32, 32, 1) + conv(32, 1, 1), 2 * conv(32, 32, 1) + conv(32, 1, 1)];
    assert_eq!(counts("pixelrnn-row"), [recurrent(7, 1, [3, 3]) + ends[1]]);
    assert_eq!(counts("pixelrnn-row-small"), [recurrent(1, 1, [3, 3]) + ends[0]]);
    assert_eq!(counts("pixelrnn-diagonal"), [recurrent(7, 2, [1, 2]) + ends[1]]);
    assert_eq!(counts("pixelrnn-diagonal-small"), [recurrent(1, 2, [1, 2]) + ends[0]]);
    assert_eq!(counts("dcgan"), [3_576_704, 2_765_568]);
    let linear = |inputs: usize, outputs: usize| (inputs + 1) * outputs;
    let gan = |hidden: usize, units: usize| {
        let generator = linear(100, hidden) + linear(hidden, hidden) + linear(hidden, 784);
        [generator, linear(784, 5 * units) + linear(units, 5 * units) + linear(units, 1)]
    };
    assert_eq!(counts("gan"), gan(1200, 240));
    assert_eq!(counts("gan"), [2_503_984, 1_231_441]);
    assert_eq!(counts("gan-small"), gan(400, 80));
    let convs = |c: usize| 9 * c + c + 9 * 2 * c * c + 2 * c + 9 * 8 * c * c + 4 * c;
    assert_eq!(counts("classifier"), [convs(16) + linear(64 * 49, 128) + linear(128, 10)]);
    // Kernels of 25 taps, from 16 samples to 16,384 in the paper's size; all layers with a bias.
    let wavegan = |d: usize, stages: u32| {
        let widest = d << (stages - 1);
        let between: usize = (1..stages).map(|k| (widest >> (k - 1)) * (widest >> k) * 25).sum();
        let (made, seen): (usize, usize) = ((1..stages).map(|k| widest >> k).sum(), (1..stages).map(|k| d << k).sum());
        [linear(100, 16 * widest) + between + made + 25 * d + 1, 26 * d + between + seen + linear(16 * widest, 1)]
    };
    assert_eq!(counts("wavegan-small"), wavegan(8, 4));
    let mut paper = Config::preset("wavegan-small").unwrap();
    paper.set_all(&Setting::all(&["model.length=16384", "model.rate=16000", "model.width=64"]).unwrap()).unwrap();
    let paper: Vec<usize> = paper.model.build().unwrap().networks().iter().map(|n| n.count()).collect();
    assert_eq!(paper, wavegan(64, 5));
    // 32x32 pixels of eight frames: three stages between 4x4 planes of 4c channels and eight of the
    // frames.
    let frames = |c: usize, t: usize| {
        let between = (4 * c * 2 * c + 2 * c * c) * 16;
        let generator = 100 * 64 * c + between + 2 * (4 * c + 2 * c + c) + c * t * 16 + t;
        [generator, t * c * 16 + c + between + 2 * (2 * c + 4 * c) + linear(64 * c, 1)]
    };
    assert_eq!(counts("frames-small"), frames(16, 8));
    // Without batch norm the second convolution has a bias, and nothing has a scale.
    let dcgan = |c: usize, normed: bool| {
        let generator = 100 * 98 * c + 2 * 2 * c + 2 * c * c * 16 + 2 * c + c * 16 + 1;
        [generator, c * 16 + c + c * 2 * c * 16 + if normed { 4 * c } else { 2 * c } + 98 * c + 1]
    };
    for (name, normed) in [("dcgan-28", true), ("lsgan", true), ("wgan", true), ("wgan-gp", false), ("dragan", false)] {
        assert_eq!(counts(name), dcgan(64, normed), "{name}");
        // A penalty at every step of the critic is too much for a software GPU with more channels.
        let width = if name == "wgan-gp" { 16 } else { 32 };
        let small = format!("{name}-small");
        assert_eq!(counts(&small), dcgan(width, normed), "{small}");
    }
}

#[test]
fn a_file_may_say_only_what_differs() {
    let c = load("preset = \"vae\"\n[model]\nhidden = 64\n[optim]\nkind = \"sgd\"\nlr = 1\n").unwrap();
    let model: &VaeConfig = c.model.downcast_ref().unwrap();
    assert_eq!((model.hidden, model.latent), (64, 20));
    assert_eq!(c.optim, OptimConfig::sgd(1.0, 1.0, 0.9));
    assert_eq!(c.name, "mine");
    assert_eq!(load("preset = \"vae\"\nname = \"other\"\n").unwrap().name, "other");
}

#[test]
fn a_complete_file_from_before_there_were_adversarial_settings_loads() {
    let plain = Config::preset("dcgan-28-small").unwrap();
    let model: &DcganConfig = plain.model.downcast_ref().unwrap();
    assert_eq!((model.discriminator_norm, model.game.penalty), Default::default());
    let old: String = plain
        .to_toml()
        .unwrap()
        .lines()
        .filter(|l| {
            !l.starts_with("pena")
                && !l.contains("noise")
                && !l.starts_with("clip")
                && !l.starts_with("discriminator_norm")
        })
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(!old.contains("penalty"));
    assert_eq!(load(&old).unwrap(), plain);
    let json = r#"{"kind":"dcgan","image":28,"channels":1,"width":32,"latent":100,
        "loss":"non-saturating","discriminator_steps":1}"#;
    assert_eq!(serde_json::from_str::<ModelConfig>(json).unwrap(), plain.model);
    let sgd = load("preset = \"vae\"\n[optim]\nkind = \"sgd\"\n").unwrap();
    let old: String =
        sgd.to_toml().unwrap().lines().filter(|l| !l.starts_with("momentum_")).map(|l| format!("{l}\n")).collect();
    assert_eq!(load(&old).unwrap(), sgd);
}

#[test]
fn mistakes_in_a_file_name_file_line_and_key() {
    let start = "preset = \"vae\"\n[model]\n";
    for (text, words) in [
        (format!("{start}hidden = \"x\""), "mine.toml:3: key model.hidden: expected an integer, found a string"),
        (format!("{start}\nhiden = 3"), "mine.toml:4: key model.hiden: unknown key; did you mean model.hidden?"),
        (format!("{start}hidden = -3"), "mine.toml:3: key model.hidden: -3 must not be negative"),
        (format!("{start}hidden = 99999999999999999999"), "mine.toml:3: key model.hidden: "),
        (format!("{start}kind = \"dcgan\""), "mine.toml:3: key model.kind: it is \"vae\" and cannot be changed"),
        (format!("{start}kind = \"gann\""), "mine.toml:3: key model.kind: there is no model \"gann\"; did you mean"),
        (format!("{start}hidden = "), "mine.toml:3: "),
        (format!("{start}hidden = 3\nhidden = 4"), "mine.toml:4: "),
        ("preset = \"vae\"\n[optim]\nkind = \"adm\"".into(), "mine.toml:3: key optim.kind: there is no optimiser"),
        ("preset = \"vae\"\n[train]\nsteps = \"x\"".into(), "mine.toml:3: key train.steps: "),
        ("preset = \"vea\"".into(), "mine.toml:1: key preset: there is no preset \"vea\"; did you mean vae"),
        ("preset = \"vae\"\nmodel = 3".into(), "mine.toml:2: key model: expected a table"),
        ("preset = \"vae\"\n[modle]\nhidden = 3".into(), "mine.toml:3: key modle.hidden: unknown key; did you mean"),
        ("[model]\nhidden = 3".into(), "mine.toml:1: it says neither preset"),
        (
            presets().iter().find(|(name, _)| *name == "vae").unwrap().1.replace("hidden = 400", ""),
            "key model.hidden is missing",
        ),
        ("preset = \"dcgan\"\n[model]\nloss = \"hing\"".into(), "mine.toml:3: key model.loss: unknown variant"),
    ] {
        let e = load(&text).unwrap_err();
        assert!(e.contains(words), "{e}\n{words}");
        assert!(!e.contains('\n'), "{e}");
    }
    assert!(Config::load("/nowhere/x.toml").unwrap_err().to_string().starts_with("cannot read /nowhere/x.toml: "));
    let e = Config::load("dcgan28").unwrap_err().to_string();
    assert!(e.starts_with("there is no preset \"dcgan28\"; did you mean dcgan-28"), "{e}");
    let e = Config::load("zzz").unwrap_err().to_string();
    assert!(e.contains("there are vae, beta-vae, vae-conditional"), "{e}");
}

#[test]
fn settings_change_one_key() {
    let mut c = Config::preset("dcgan-28").unwrap();
    let all = ["optim.lr=.5", "optim.kind=rmsprop", "model.width = 8", "data.source=my images", "train.steps=7"];
    c.set_all(&Setting::all(&all).unwrap()).unwrap();
    assert!(matches!(c.optim, OptimConfig::Rmsprop(RmspropRule { lr: 0.5, .. })));
    assert_eq!((c.data.source.as_str(), c.train.steps, c.name.as_str()), ("my images", Some(7), "dcgan-28"));
    c.set("model.loss=minimax".parse().unwrap()).unwrap();
    c.set("optim.centered=true".parse().unwrap()).unwrap();
    c.set("data.source=\"7\"".parse().unwrap()).unwrap();
    c.set("data.source=8".parse().unwrap()).unwrap();
    assert_eq!(c.data.source, "8");
    c.set("train.epochs=2".parse().unwrap()).unwrap();
    assert_eq!((c.train.epochs, c.train.steps), (2, None));
    c.set("train.precision=mixed".parse().unwrap()).unwrap();
    assert_eq!(c.train.precision, Precision::Mixed);
    assert_eq!(load(&c.to_toml().unwrap()).unwrap(), c);
    for (setting, is) in [("optim.lr=1e-46", "is 0"), ("optim.lr=1e39", "is infinite"), ("optim.lr=1e-40", "is 0")] {
        let mut c = Config::preset("vae").unwrap();
        c.set(setting.parse().unwrap()).unwrap();
        let why = c.validate().unwrap_err().to_string();
        assert!(why.contains(is) && why.contains("optim.lr"), "{why}");
    }
    let mut near = Config::preset("vae").unwrap();
    near.set("optim.beta2=0.99999999999".parse().unwrap()).unwrap();
    assert!(near.validate().is_err());
    c.set("train.ema=.5".parse().unwrap()).unwrap();
    assert_eq!(c.optimizer().ema, 0.5);
    c.set("train.recompute=true".parse().unwrap()).unwrap();
    assert!(c.train.recompute);
    assert_eq!(load(&c.to_toml().unwrap()).unwrap(), c);
    // A list as TOML has it, as a shell leaves it of that, and as people write it.
    let augmented = [r#"["color","cutout"]"#, "[color,cutout]", "color, cutout", r#""color",cutout"#].map(|list| {
        let mut c = Config::preset("dcgan-28").unwrap();
        c.set(Setting::new("model.augment", list)).unwrap();
        c.model
    });
    assert!(augmented.iter().all(|model| *model == augmented[0] && format!("{model:?}").contains("[Color, Cutout]")));
    let mut gated = Config::preset("pixelcnn-gated").unwrap();
    gated.set("model.dilations=1,2".parse().unwrap()).unwrap();
    assert!(format!("{:?}", gated.model).contains("[1, 2]"));
    let before = c.clone();
    for (setting, words) in [
        ("model.augment=colour", "did you mean color?"),
        ("lr=1", "lr: unknown key; did you mean optim.lr?"),
        ("stride=0", "stride: unknown key; there are"),
        ("train.lgo_every=1", "did you mean train.log_every"),
        ("train.batch=many", "train.batch: expected an integer, found a string"),
        ("train.batch=1.5", "train.batch: expected an integer, found a number"),
        ("train.batch=-1", "train.batch: -1 must not be negative"),
        ("train.precision=half", "train.precision: unknown variant `half`, expected `full` or `mixed`"),
        ("train.precison=full", "did you mean train.precision"),
        ("train.em=0.9", "did you mean train.ema?"),
        ("optim.centered=1", "optim.centered: expected true or false, found an integer"),
        ("model.kind=vae", "it is \"dcgan\" and cannot be changed"),
        ("model.loss=hing", "unknown variant"),
        ("model.beta=2", "model.beta: unknown key"),
        ("model=3", "model: unknown key"),
        ("nonsense", "is not a setting"),
        ("=", "is not a setting"),
    ] {
        let e = setting.parse().and_then(|setting| c.set(setting)).unwrap_err().to_string();
        assert!(e.contains(words), "{e}\n{words}");
    }
    assert_eq!(c, before);
}

#[test]
fn settings_that_came_later_may_be_left_out() {
    let (_, text) = presets().iter().find(|(name, _)| *name == "vae-static").unwrap();
    let later = ["layers", "activation", "binarisation", "samples = 1", "beta", "warm_up"];
    let old: Vec<&str> = text.lines().filter(|line| !later.iter().any(|key| line.starts_with(key))).collect();
    let model = load(&old.join("\n")).unwrap().model;
    let model: &VaeConfig = model.downcast_ref().unwrap();
    assert_eq!((model.hidden, model.latent, model.layers, model.samples), (256, 128, 1, 1));
    assert_eq!((model.beta, model.warm_up, model.binarisation), (1.0, 0, crate::data::Binarisation::None));
    let mut c = Config::preset("vae-conv").unwrap();
    c.set_all(&Setting::all(&["model.decoder=discretised-logistic", "model.warm_up=100000", "model.beta=0"]).unwrap())
        .unwrap();
    c.validate().unwrap();
    assert_eq!(load(&c.to_toml().unwrap()).unwrap(), c);
    for (setting, words) in [
        ("model.decoder=logistic", "unknown variant `logistic`, expected one of `bernoulli`, `gaussian`"),
        ("model.warm_up=-1", "model.warm_up: -1 must not be negative"),
        (
            "model.warm_up=4294967296",
            "model.warm_up: expected a whole number from 0 to 4294967295, found integer `4294967296`",
        ),
        ("model.beta=much", "model.beta: expected a number, found a string"),
        ("model.layers=2", "model.layers: unknown key"),
    ] {
        let e = setting.parse().and_then(|setting| c.set(setting)).unwrap_err().to_string();
        assert!(e.contains(words), "{e}\n{words}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_in_a_sentence() {
    for (preset, setting, words) in [
        ("vae", "train.batch=0", "train.batch = 0 must be at least 1"),
        ("vae", "train.log_every=257", "train.log_every = 257 must be between 1 and 256"),
        ("vae", "train.steps=0", "train.steps = 0 must be at least 1"),
        ("vae", "optim.lr=nan", "optim.lr = nan must be a finite number"),
        ("vae", "optim.lr=0", "optim.lr = 0 must be above 0"),
        ("vae", "train.ema=1e-46", "train.ema = 1e-46 is 0 in the 32 bits"),
        ("vae", "train.ema=0.99999999", "train.ema = 0.99999999 is 1 in the 32 bits that devices compute in"),
        ("vae", "optim.beta2=0.99999999", "optim.beta2 = 0.99999999 is 1 in the 32 bits"),
        ("gan", "optim.momentum=0.99999999", "optim.momentum = 0.99999999 is 1 in the 32 bits"),
        ("vae", "train.ema=1", "train.ema = 1 must be at least 0 and below 1"),
        ("vae", "train.ema=-0.1", "train.ema = -0.1 must be at least 0 and below 1"),
        ("vae", "train.ema=nan", "train.ema = NaN must be at least 0 and below 1"),
        ("vae", "model.hidden=0", "model.hidden = 0 must be at least 1"),
        ("vae", "model.hidden=9999999", "model.hidden = 9999999 must be at most 65536"),
        ("vae", "model.layers=0", "model.layers = 0 must be at least 1"),
        ("vae", "model.layers=65", "model.layers = 65 must be at most 64"),
        ("vae", "model.samples=0", "model.samples = 0 must be at least 1"),
        ("vae", "model.samples=65537", "model.samples = 65537 must be at most 65536"),
        ("vae", "model.beta=-0.5", "model.beta = -0.5 must be a finite number, at least 0"),
        ("vae-conv", "model.beta=nan", "model.beta = NaN must be a finite number, at least 0"),
        ("vae-iwae", "model.beta=2", "the bound of model.samples = 50 draws does not have"),
        ("vae-iwae", "model.warm_up=2", "the bound of model.samples = 50 draws does not have"),
        ("gmm", "train.batch=99", "train.batch = 99 must be at least model.components = 100"),
        ("gmm", "model.components=0", "model.components = 0 must be at least 1"),
        ("gmm", "optim.floor=0", "optim.floor = 0 must be above 0"),
        ("gmm", "optim.kind=adam", "a mixture is trained by expectation-maximisation; set optim.kind=em"),
        ("gmm", "train.ema=0.9", "a mixture does not descend; set train.ema=0"),
        ("gmm", "train.precision=mixed", "train it in full precision"),
        ("vae", "optim.kind=em", "optim.kind = em trains mixtures (gmm) only"),
        ("ae", "model.latent=0", "model.latent = 0 must be at least 1"),
        ("vae", "model.channels=2", "with 2 channels is not possible"),
        (
            "dcgan",
            "model.image=30",
            "model.image = 30 must be one of 16, 20, 28, 32, 40, 56, 64, 80, 112, 128, 160, 224, 256; presets that take \
             30x30: vae, ",
        ),
        ("dcgan", "model.image=512", "presets that take 512x512: "),
        ("dcgan", "model.image_width=96", "model.image_width = 96 must be one of"),
        ("dcgan", "model.image_width=32", "must be 4, 5 or 7 times the same power of two"),
        ("pixelcnn++", "model.width=30", "model.width = 30 must be a multiple of 4, because it is halved twice"),
        ("pixelcnn++", "model.channels=2", "model.channels = 2 must be 1 (grey) or 3 (colours)"),
        ("pixelcnn++", "model.dropout=1", "model.dropout = 1 must be at least 0 and below 1"),
        ("pixelcnn++", "model.blocks=0", "model.blocks = 0 must be at least 1"),
        ("progan", "model.image=28", "model.image = 28 must be a power of two between 8 and 1024"),
        ("progan", "model.fade_steps=0", "model.fade_steps = 0 must be at least 1"),
        ("progan", "model.stable_steps=4294967296", "model.stable_steps = 4294967296 must be at most 4294967295"),
        ("progan", "model.drift=-1", "model.drift = -1 must be a finite number, at least 0"),
        ("biggan", "model.latent=127", "model.latent = 127 must be a multiple of 4"),
        ("biggan", "model.attention=12", "model.attention = 12 must be 0 or 8 or 16 or 32"),
        ("biggan", "model.image=7", "model.image = 7 must be even and at least 8"),
        ("biggan", "model.classes=257", "model.classes = 257 must be at most 256"),
        ("gan", "model.pieces=0", "model.pieces = 0 must be at least 1"),
        ("gan", "model.discriminator_steps=0", "model.discriminator_steps = 0 must be between 1 and 100"),
        ("gan", "model.penalty_weight=-1", "model.penalty_weight = -1 must be a finite number, at least 0"),
        ("wgan", "model.clip=inf", "model.clip = inf must be a finite number, at least 0"),
        ("wgan", "model.penalty=r1", "batch norm has no second-order gradient; set model.discriminator_norm to"),
        ("wgan-gp", "model.discriminator_norm=batch", "batch norm has no second-order gradient"),
        ("lsgan", "model.instance_noise_steps=0", "model.instance_noise_steps = 0 must be at least 1"),
        ("gan", "optim.momentum_end=1", "optim.momentum_end = 1 must be at least 0 and below 1"),
        ("dcgan", "model.width=60000", "more than the 1,073,741,824 limn can hold"),
    ] {
        let mut c = Config::preset(preset).unwrap();
        c.set(setting.parse().unwrap()).unwrap();
        let e = c.validate().unwrap_err().to_string();
        assert!(e.contains(words), "{e}\n{words}");
    }
}
