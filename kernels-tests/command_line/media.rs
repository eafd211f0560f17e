//! Models of films and of sounds: what they train on, what they leave behind, and what they refuse.

use super::models::{Place, on_cpu, picture};
use super::text;
use image::codecs::gif::{GifDecoder, GifEncoder};
use image::{AnimationDecoder, Delay, Frame, Rgba, RgbaImage};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

const TINY_SOUNDS: [&str; 8] = [
    "--set",
    "model.length=256",
    "--set",
    "model.width=2",
    "--set",
    "model.discriminator_steps=2",
    "--set",
    "train.samples=3",
];

const TINY_FILMS: [&str; 4] = ["--set", "model.width=2", "--set", "train.samples=3"];

/// A run of four steps, and one of two that goes on, end with the same bytes.
fn resumes(place: &Place, preset: &str, tiny: &[&str]) {
    let whole = place.path("whole");
    let args = ["train", preset, "--steps", "4", "--batch", "4", "--out", text(&whole)];
    on_cpu(&[&args, tiny].concat()).good();
    let halves = place.train_in("halves", preset, tiny);
    on_cpu(&["train", "--resume", text(&halves), "--steps", "4"]).good();
    let bytes = |run: &Path| std::fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint");
    assert!(bytes(&whole) == bytes(&halves));
}

#[test]
fn a_wavegan_trains_on_drums_and_on_wav_files_and_is_heard() {
    let place = Place::new();
    let run = place.train("wavegan-small", &TINY_SOUNDS);
    assert_eq!(picture(&run.join("samples/step-2.png")), (2 * 258 + 2, 2 * 58 + 2));
    let heard = |path: &Path| {
        let reader = hound::WavReader::open(path).expect("a WAV file");
        (reader.spec().sample_rate, reader.len())
    };
    assert_eq!(heard(&run.join("samples/step-2.wav")), (8000, 3 * (256 + 2000)));
    let said = on_cpu(&["sample", text(&run), "--n", "2"]).good().out;
    assert!(said.contains("samples.png") && said.contains("samples.wav"), "{said}");
    on_cpu(&["sample", text(&run), "--neighbours", "2", "--n", "2"]).good();
    on_cpu(&["latent", text(&run), "interpolate"]).good();
    assert_eq!(heard(&run.join("interpolate.wav")).0, 8000);
    on_cpu(&["eval", text(&run), "--images", "8"]).good();
    let sounds = place.path("sounds");
    std::fs::create_dir(&sounds).expect("a folder");
    for i in 0..8 {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(sounds.join(format!("{i}.wav")), spec).expect("a file");
        (0..300).for_each(|k| writer.write_sample(((k * (i + 1)) % 2000) as i16).expect("a sample"));
        writer.finalize().expect("a WAV file");
    }
    place.train_in("wavs", "wavegan-small", &[&TINY_SOUNDS[..], &["--data", text(&sounds)]].concat());
    let out = place.path("refused");
    let train = |args: &[&str], words: &[&str]| {
        on_cpu(&[&["train"], args, &["--out", text(&out)]].concat()).bad(words);
        assert!(!out.exists());
    };
    train(&["wavegan-small", "--data", "builtin"], &["fashion-mini holds pictures", "drums"]);
    train(&["wavegan-small", "--data", text(&place.path("nowhere"))], &["nowhere"]);
    let empty = place.path("empty");
    std::fs::create_dir(&empty).expect("a folder");
    train(&["wavegan-small", "--data", text(&empty)], &["no sounds", ".wav"]);
    train(&["wavegan-small", "--set", "model.length=4000"], &["model.length = 4000", "4096"]);
    train(&["wavegan-small", "--set", "model.rate=0"], &["model.rate = 0"]);
    train(&["vae", "--data", "drums"], &["drums holds sounds", "fashion-mini"]);
}

#[test]
fn films_are_trained_on_and_shown_as_gifs() {
    let place = Place::new();
    let run = place.train("frames-small", &TINY_FILMS);
    assert_eq!(picture(&run.join("samples/step-2.png")), (2 * 66 + 2, 2 * (8 * 64 + 2) + 2));
    let shown = |path: &Path| {
        let file = BufReader::new(File::open(path).expect("a GIF"));
        GifDecoder::new(file).expect("a GIF").into_frames().collect_frames().expect("frames").len()
    };
    assert_eq!(shown(&run.join("samples/step-2.gif")), 8);
    let said = on_cpu(&["sample", text(&run), "--n", "2"]).good().out;
    assert!(said.contains("samples.gif"), "{said}");
    on_cpu(&["latent", text(&run), "interpolate"]).good();
    assert_eq!(shown(&run.join("interpolate.gif")), 8);
    on_cpu(&["probe", text(&run), "--images", "60"]).good();
    let films = place.path("films");
    std::fs::create_dir(&films).expect("a folder");
    for i in 0..8u8 {
        let mut encoder = GifEncoder::new(File::create(films.join(format!("{i}.gif"))).expect("a file"));
        for t in 0..9 {
            let frame = RgbaImage::from_pixel(40, 30, Rgba([20 * t, 30 * i, 0, 255]));
            encoder.encode_frame(Frame::from_parts(frame, 0, 0, Delay::from_numer_denom_ms(80, 1))).expect("a frame");
        }
    }
    place.train_in("gifs", "frames-small", &[&TINY_FILMS[..], &["--data", text(&films)]].concat());
    let out = place.path("refused");
    for (data, words) in [("mnist", "mnist holds pictures"), ("drums", "drums holds sounds")] {
        on_cpu(&["train", "frames-small", "--data", data, "--out", text(&out)]).bad(&[words, "bouncing"]);
    }
    on_cpu(&["train", "frames-small", "--set", "model.frames=0", "--out", text(&out)]).bad(&["model.frames = 0"]);
    on_cpu(&["train", "frames-small", "--set", "model.frames=500", "--out", text(&out)]).bad(&["not possible"]);
    assert!(!out.exists());
}

#[test]
fn runs_of_films_and_sounds_resume_bitwise() {
    for (preset, tiny) in [("wavegan-small", &TINY_SOUNDS[..]), ("frames-small", &TINY_FILMS)] {
        resumes(&Place::new(), preset, tiny);
    }
}
