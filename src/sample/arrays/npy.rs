//! NumPy's files of one array (its "NPY format", versions 1.0 to 3.0): a header that is a literal of
//! Python's with three keys, and the elements.

use super::numbers::{Array, Kind};
use safetensors::Dtype;

/// What a file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";
/// The elements begin at a multiple of it.
const ALIGNED: usize = 64;

/// The bytes of a file of an array of these.
pub(super) fn bytes(dtype: Dtype, shape: &[usize], elements: &[u8]) -> Vec<u8> {
    let kind = if dtype == Dtype::U8 { "|u1" } else { "<f4" };
    // A tuple of one has a comma too.
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let extents = extents.join(", ") + comma;
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({extents}), }}");
    let before = MAGIC.len() + 4;
    // It ends with a line's end, at a multiple.
    let fill = (before + header.len() + 1).next_multiple_of(ALIGNED) - before - 1 - header.len();
    header.extend(std::iter::repeat_n(' ', fill));
    header.push('\n');
    let mut file = MAGIC.to_vec();
    file.extend([1, 0]);
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(elements);
    file
}

/// The array of a file.
pub(super) fn read(bytes: &[u8]) -> Result<Array, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is no .npy file; save one with numpy.save")?;
    let cut = "it is cut short";
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [major, minor, ..] if *major > 3 => {
            return Err(format!("it is of version {major}.{minor} of .npy, and limn reads 1 to 3"));
        }
        _ => return Err(cut.into()),
    };
    let (header, elements) = rest.split_at_checked(length).ok_or(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let unclear = || format!("limn does not understand its header {}", header.trim());
    let descr = entry(header, "descr").ok_or_else(unclear)?;
    let Some(name) = quoted(descr) else {
        return Err("it holds records, not numbers; save one array of numbers".into());
    };
    let kind = Kind::of_numpy(name)
        .ok_or_else(|| format!("its elements are {name}; save them as numbers: array.astype(\"float32\")"))?;
    let fortran = match entry(header, "fortran_order").ok_or_else(unclear)? {
        order if order.starts_with("True") => true,
        order if order.starts_with("False") => false,
        _ => return Err(unclear()),
    };
    let shape = entry(header, "shape").and_then(shape).ok_or_else(unclear)?;
    Array::new(shape, kind, fortran, elements)
}

/// What stands behind a key.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let behind = ['\'', '"'].iter().find_map(|mark| header.split_once(&format!("{mark}{key}{mark}")))?.1;
    Some(behind.trim_start().strip_prefix(':')?.trim_start())
}

/// A text at the beginning.
fn quoted(text: &str) -> Option<&str> {
    let mark = text.chars().next().filter(|mark| "'\"".contains(*mark))?;
    Some(text[1..].split_once(mark)?.0)
}

/// A tuple of numbers at the beginning.
fn shape(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let extents = inside.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    extents.map(|extent| extent.trim_end_matches('L').parse().ok()).collect()
}
