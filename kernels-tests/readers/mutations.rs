//! Files made of others: what a broken disk, a cut copy, another program or an attacker makes of them.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// Numbers at which sizes and counts go wrong.
const EXTREME: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Words that readers of text look for.
const WORDS: [&[u8]; 28] = [
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"inf",
    b"18446744073709551615",
    b"9223372036854775807",
    b"4294967296",
    b"1e-320",
    b"\"",
    b"'",
    b"[[[[[[[[",
    b"{\"",
    b"}",
    b"null",
    b"true",
    b"=",
    b"\n",
    b"\r\n",
    b",",
    b";",
    b"\t",
    b"\\u0000",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\0",
    b"../",
    b"#",
];

/// The longest file that is made.
const LONGEST: usize = 1 << 16;

/// File number `seed` that is made of these.
pub fn mutated(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..=4) {
        mutate(&mut bytes, corpus, &mut rng);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) {
    let at = |rng: &mut ChaCha8Rng, len: usize| match rng.random_range(0..3) {
        // What is at the beginning says what all the rest is.
        0 => rng.random_range(0..=len.min(64)),
        _ => rng.random_range(0..=len),
    };
    let from = at(rng, bytes.len());
    match rng.random_range(0..9) {
        0 => (0..rng.random_range(1..=8)).for_each(|_| {
            let from = at(rng, bytes.len());
            let bit = 1 << rng.random_range(0..8);
            bytes.get_mut(from).into_iter().for_each(|byte| *byte ^= bit);
        }),
        1 => bytes.truncate(from),
        2 => {
            let to = (from + rng.random_range(1..=64)).min(bytes.len());
            let span = bytes[from..to].to_vec();
            (0..rng.random_range(1..=16)).for_each(|_| drop(bytes.splice(to..to, span.iter().copied())));
        }
        3 => drop(bytes.drain(from..(from + rng.random_range(1..=64)).min(bytes.len()))),
        4 | 5 => {
            let size = 1 << rng.random_range(0..4);
            let mut number = EXTREME[rng.random_range(0..EXTREME.len())].to_le_bytes()[..size].to_vec();
            if rng.random_range(0..2) == 0 {
                number.reverse();
            }
            let to = (from + size).min(bytes.len());
            bytes.splice(from..to, number);
        }
        6 => {
            let other = &corpus[rng.random_range(0..corpus.len())];
            bytes.truncate(from);
            bytes.extend(&other[at(rng, other.len())..]);
        }
        7 => {
            let to = (from + rng.random_range(0..=8)).min(bytes.len());
            bytes.splice(from..to, WORDS[rng.random_range(0..WORDS.len())].iter().copied());
        }
        _ => {
            let to = (from + rng.random_range(1..=32)).min(bytes.len());
            bytes[from..to].fill_with(|| rng.random());
        }
    }
}
