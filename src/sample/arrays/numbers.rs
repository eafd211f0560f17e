//! Arrays of whatever numbers a file has, as f32.

use safetensors::Dtype;

/// Axes of an array, at most: as many as NumPy has. Bringing elements in order takes time with each.
const AXES: usize = 64;

/// An array in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Vec<f32>,
}

/// What a number is in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind {
    number: Number,
    /// Bytes.
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Float,
    Signed,
    Unsigned,
}

impl Kind {
    /// What NumPy calls so, as `<f4`; nothing of what limn does not read.
    pub fn of_numpy(name: &str) -> Option<Kind> {
        let mut all = name.chars();
        let big_endian = match all.next()? {
            '<' | '|' => false,
            '>' => true,
            '=' => cfg!(target_endian = "big"),
            _ => return None,
        };
        let (number, sizes) = match all.next()? {
            'f' => (Number::Float, &[4, 8][..]),
            'i' => (Number::Signed, &[1, 2, 4, 8][..]),
            'u' => (Number::Unsigned, &[1, 2, 4, 8][..]),
            _ => return None,
        };
        let size = all.as_str().parse().ok().filter(|size| sizes.contains(size))?;
        Some(Kind { number, size, big_endian })
    }

    /// What safetensors files call so.
    pub fn of_tensor(dtype: Dtype) -> Option<Kind> {
        let (number, size) = match dtype {
            Dtype::F32 => (Number::Float, 4),
            Dtype::F64 => (Number::Float, 8),
            Dtype::I8 => (Number::Signed, 1),
            Dtype::I16 => (Number::Signed, 2),
            Dtype::I32 => (Number::Signed, 4),
            Dtype::I64 => (Number::Signed, 8),
            Dtype::U8 => (Number::Unsigned, 1),
            Dtype::U16 => (Number::Unsigned, 2),
            Dtype::U32 => (Number::Unsigned, 4),
            Dtype::U64 => (Number::Unsigned, 8),
            _ => return None,
        };
        Some(Kind { number, size, big_endian: false })
    }

    /// The number that these bytes are.
    fn value(self, bytes: &[u8]) -> f32 {
        // Little-endian, and wider than any of them: filled up with the sign.
        let mut wide = [0; 8];
        let negative = self.number == Number::Signed
            && bytes.get(if self.big_endian { 0 } else { self.size - 1 }).is_some_and(|high| *high >= 128);
        wide[self.size..].fill(if negative { 255 } else { 0 });
        wide[..self.size].copy_from_slice(bytes);
        if self.big_endian {
            wide[..self.size].reverse();
        }
        match self.number {
            Number::Float if self.size == 4 => f32::from_bits(u32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]])),
            Number::Float => f64::from_le_bytes(wide) as f32,
            Number::Signed => i64::from_le_bytes(wide) as f32,
            Number::Unsigned => u64::from_le_bytes(wide) as f32,
        }
    }
}

impl Array {
    /// An array of these bytes, the first axis the fastest where it is `fortran`.
    pub fn new(shape: Vec<usize>, kind: Kind, fortran: bool, bytes: &[u8]) -> Result<Array, String> {
        if shape.len() > AXES {
            return Err(format!("an array of {} axes; limn reads, as NumPy writes, up to {AXES}", shape.len()));
        }
        let elements = shape.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent));
        if elements.and_then(|n| n.checked_mul(kind.size)) != Some(bytes.len()) {
            return Err(format!(
                "an array of the shape {shape:?} has {} bytes; it is cut short or damaged",
                bytes.len()
            ));
        }
        let values: Vec<f32> = bytes.chunks_exact(kind.size).map(|bytes| kind.value(bytes)).collect();
        let values = if fortran && !values.is_empty() { row_major(&shape, &values) } else { values };
        Ok(Array { shape, values })
    }
}

/// What lies with the first axis the fastest, with the last the fastest.
fn row_major(shape: &[usize], values: &[f32]) -> Vec<f32> {
    let strides: Vec<usize> =
        shape.iter().scan(1, |stride, extent| Some(std::mem::replace(stride, *stride * extent))).collect();
    let from = |mut at: usize| {
        let mut place = 0;
        for (extent, stride) in std::iter::zip(shape, &strides).rev() {
            place += at % extent * stride;
            at /= extent;
        }
        values[place]
    };
    (0..values.len()).map(from).collect()
}
