//! Whether a JPEG is whole. Decoders fill what is missing with grey and say nothing, so the codes
//! of every scan are counted here, without making a picture of them: sequential and progressive,
//! with Huffman's codes.

/// The coefficients of a block that a scan may bring, in zigzag order, one bit each.
type Mask = u64;

/// One component of the frame.
struct Component {
    id: u8,
    /// Blocks of an MCU, across and down.
    h: usize,
    v: usize,
    /// Blocks in a row, with those that fill the last MCU.
    stride: usize,
    /// Blocks that a scan of this component alone has.
    wide: usize,
    high: usize,
    /// Of each block the coefficients that are not zero so far; only progressive scans ask.
    nonzero: Vec<Mask>,
    /// The coefficients of which the last bit has come.
    complete: Mask,
}

struct Frame {
    progressive: bool,
    /// MCUs across and down.
    mcus: (usize, usize),
    components: Vec<Component>,
}

/// What a scan says of itself.
struct Scan {
    /// Component, and its tables for the first coefficient and the others.
    parts: Vec<(usize, usize, usize)>,
    first: usize,
    last: usize,
    high: u8,
    low: u8,
}

/// A table of Huffman's codes, by the largest code of each length.
struct Table {
    /// For eight bits: the code's length, 0 where it is longer, and its symbol.
    short: Vec<(u8, u8)>,
    /// For each length of 1 to 16: the first code beyond, with as many zeros behind it as make 16
    /// bits.
    beyond: [u32; 17],
    /// For each length: what is added to a code for the index of its symbol.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

const SHORT: &str = "it is cut short";
const EARLY: &str = "the data of its picture end too early";
const WRONG: &str = "the data of its picture are damaged";

/// Refuses a JPEG of which a part is missing or damaged. What lies behind its end does not matter,
/// and a missing mark of the end only where something else is missing too. Kinds of JPEG that
/// limn's decoder does not know pass.
pub(super) fn check(data: &[u8]) -> Result<(), &'static str> {
    let mut at = 2;
    let mut frame: Option<Frame> = None;
    let mut tables: [[Option<Table>; 4]; 2] = Default::default();
    let mut interval = 0;
    loop {
        let Some(marker) = marker(data, &mut at) else {
            let whole = frame.as_ref().is_some_and(|f| f.components.iter().all(|c| c.complete == Mask::MAX));
            return if whole { Ok(()) } else { Err(SHORT) };
        };
        match marker {
            0xd8 | 0x01 | 0xd0..=0xd7 => continue,
            0xd9 => {
                let seen = frame.as_ref().is_some_and(|f| f.components.iter().all(|c| c.complete & 1 == 1));
                return if seen { Ok(()) } else { Err(EARLY) };
            }
            _ => {}
        }
        let len = data.get(at..at + 2).map(|b| usize::from(b[0]) << 8 | usize::from(b[1])).ok_or(SHORT)?;
        let body = data.get(at + 2..at + len.max(2)).ok_or(SHORT)?;
        at += len.max(2);
        match marker {
            0xc0..=0xc2 if frame.is_none() => frame = Some(Frame::read(body, marker == 0xc2).ok_or(WRONG)?),
            // Arithmetic codes, lossless and hierarchical ones: the decoder refuses them by name.
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Ok(()),
            0xc4 => read_tables(body, &mut tables).ok_or(WRONG)?,
            0xdd => interval = body.get(..2).map(|b| usize::from(b[0]) << 8 | usize::from(b[1])).ok_or(WRONG)?,
            0xda => {
                let frame = frame.as_mut().ok_or(WRONG)?;
                let scan = Scan::read(body, frame).ok_or(WRONG)?;
                at += frame.walk(&scan, &tables, interval, &data[at..])?;
            }
            _ => {}
        }
    }
}

/// The next marker, behind whatever else there is.
fn marker(data: &[u8], at: &mut usize) -> Option<u8> {
    let found = data.get(*at..)?.windows(2).position(|w| w[0] == 0xff && w[1] != 0xff && w[1] != 0)?;
    *at += found + 2;
    Some(data[*at - 1])
}

/// The tables of one segment; `None` where they are none.
fn read_tables(mut body: &[u8], tables: &mut [[Option<Table>; 4]; 2]) -> Option<()> {
    while let Some((&which, rest)) = body.split_first() {
        let lens = rest.get(..16)?;
        let n: usize = lens.iter().map(|n| usize::from(*n)).sum();
        let symbols = rest.get(16..16 + n)?;
        *tables.get_mut(usize::from(which >> 4))?.get_mut(usize::from(which & 15))? = Some(Table::new(lens, symbols)?);
        body = &rest[16 + n..];
    }
    Some(())
}

impl Table {
    fn new(lens: &[u8], symbols: &[u8]) -> Option<Table> {
        let (mut beyond, mut offset) = ([0; 17], [0; 17]);
        let mut short = vec![(0, 0); 256];
        let (mut code, mut index) = (0u32, 0usize);
        for (len, &n) in (1..=16).zip(lens) {
            offset[len] = index as i32 - code as i32;
            for _ in 0..n {
                if code >> len != 0 {
                    return None;
                }
                if len <= 8 {
                    let from = (code << (8 - len)) as usize;
                    short[from..from + (1 << (8 - len))].fill((len as u8, symbols[index]));
                }
                code += 1;
                index += 1;
            }
            beyond[len] = code << (16 - len);
            code <<= 1;
        }
        Some(Table { short, beyond, offset, symbols: symbols.to_vec() })
    }
}

impl Frame {
    fn read(body: &[u8], progressive: bool) -> Option<Frame> {
        let [_, h1, h0, w1, w0, n] = *body.first_chunk::<6>()?;
        let (height, width) = (usize::from(h1) << 8 | usize::from(h0), usize::from(w1) << 8 | usize::from(w0));
        let parts = body.get(6..6 + 3 * usize::from(n))?.chunks_exact(3);
        let sampling = || parts.clone().map(|p| (usize::from(p[1] >> 4), usize::from(p[1] & 15)));
        let (h_most, v_most) = (sampling().map(|s| s.0).max()?, sampling().map(|s| s.1).max()?);
        if height == 0 || width == 0 || n > 4 || sampling().any(|(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v))
        {
            return None;
        }
        let mcus = (width.div_ceil(8 * h_most), height.div_ceil(8 * v_most));
        let component = |p: &[u8]| {
            let (h, v) = (usize::from(p[1] >> 4), usize::from(p[1] & 15));
            let stride = mcus.0 * h;
            let nonzero = vec![0; if progressive { stride * mcus.1 * v } else { 0 }];
            let (wide, high) = ((width * h).div_ceil(8 * h_most), (height * v).div_ceil(8 * v_most));
            Component { id: p[0], h, v, stride, wide, high, nonzero, complete: 0 }
        };
        Some(Frame { progressive, mcus, components: parts.clone().map(component).collect() })
    }

    /// Goes through the codes of a scan and returns how many bytes they take.
    fn walk(
        &mut self,
        scan: &Scan,
        tables: &[[Option<Table>; 4]; 2],
        interval: usize,
        data: &[u8],
    ) -> Result<usize, &'static str> {
        let mut bits = Bits { data, at: 0, hold: 0, have: 0 };
        let mut run = 0;
        let alone = scan.parts.len() == 1;
        let (across, down) = match scan.parts[0].0 {
            c if alone => (self.components[c].wide, self.components[c].high),
            _ => self.mcus,
        };
        let mut left = interval;
        for row in 0..down {
            for column in 0..across {
                if interval > 0 && left == 0 {
                    bits.restart()?;
                    (left, run) = (interval, 0);
                }
                left = left.wrapping_sub(1);
                for &(c, dc, ac) in &scan.parts {
                    let component = &mut self.components[c];
                    let (h, v) = if alone { (1, 1) } else { (component.h, component.v) };
                    for block in 0..h * v {
                        let (y, x) = (row * v + block / h, column * h + block % h);
                        let tables = (tables[0][dc].as_ref(), tables[1][ac].as_ref());
                        if self.progressive {
                            let nonzero = &mut component.nonzero[y * component.stride + x];
                            bits.progressive(scan, tables, nonzero, &mut run)?;
                        } else {
                            bits.sequential(tables)?;
                        }
                    }
                }
            }
        }
        for &(c, ..) in &scan.parts {
            if scan.low == 0 {
                self.components[c].complete |= (Mask::MAX >> (63 - scan.last)) & (Mask::MAX << scan.first);
            }
        }
        Ok(bits.at)
    }
}

impl Scan {
    fn read(body: &[u8], frame: &Frame) -> Option<Scan> {
        let (&n, rest) = body.split_first()?;
        let part = |p: &[u8]| {
            let component = frame.components.iter().position(|c| c.id == p[0])?;
            Some((component, usize::from(p[1] >> 4 & 3), usize::from(p[1] & 3)))
        };
        let parts: Vec<_> = rest.get(..2 * usize::from(n))?.chunks_exact(2).map(part).collect::<Option<_>>()?;
        let &[first, last, bits] = rest.get(2 * usize::from(n)..)?.first_chunk::<3>()?;
        if parts.is_empty() || parts.len() > frame.components.len() {
            return None;
        }
        if !frame.progressive {
            return Some(Scan { parts, first: 0, last: 63, high: 0, low: 0 });
        }
        let (first, last) = (usize::from(first), usize::from(last));
        let fits = first <= last && last < 64 && (if first == 0 { last == 0 } else { parts.len() == 1 });
        fits.then_some(Scan { parts, first, last, high: bits >> 4, low: bits & 15 })
    }
}

/// The bits of a scan: zeros stuffed behind bytes of ones are left out, and a marker ends them.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// Bits read ahead, the next ones highest.
    hold: u64,
    have: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.have <= 56 {
            let Some(&byte) = self.data.get(self.at) else { return };
            if byte == 0xff {
                match self.data.get(self.at + 1) {
                    Some(0) => self.at += 1,
                    _ => return,
                }
            }
            self.at += 1;
            self.hold |= u64::from(byte) << (56 - self.have);
            self.have += 8;
        }
    }

    fn take(&mut self, n: u32) -> Result<u32, &'static str> {
        if self.have < n {
            self.fill();
            if self.have < n {
                return Err(EARLY);
            }
        }
        if n == 0 {
            return Ok(0);
        }
        let bits = (self.hold >> (64 - n)) as u32;
        self.hold <<= n;
        self.have -= n;
        Ok(bits)
    }

    fn symbol(&mut self, table: Option<&Table>) -> Result<u8, &'static str> {
        let table = table.ok_or(WRONG)?;
        if self.have < 16 {
            self.fill();
        }
        let (len, symbol) = table.short[(self.hold >> 56) as usize];
        if len > 0 {
            return self.take(len.into()).map(|_| symbol);
        }
        let next = (self.hold >> 48) as u32;
        let len = (1..=16).find(|&len| next < table.beyond[len]);
        // Beyond the last bit there are zeros, which are part of no code.
        let len = len.ok_or(if self.have < 16 { EARLY } else { WRONG })?;
        let code = self.take(len as u32)? as i32;
        table.symbols.get((code + table.offset[len]) as usize).copied().ok_or(WRONG)
    }

    /// Goes on behind the next marker, which must be one of those that restart a scan.
    fn restart(&mut self) -> Result<(), &'static str> {
        (self.hold, self.have) = (0, 0);
        match marker(self.data, &mut self.at) {
            Some(0xd0..=0xd7) => Ok(()),
            Some(_) => Err(EARLY),
            None => Err(SHORT),
        }
    }

    /// All coefficients of a block.
    fn sequential(&mut self, (dc, ac): (Option<&Table>, Option<&Table>)) -> Result<(), &'static str> {
        let size = self.symbol(dc)?;
        self.number(size)?;
        let mut k = 1;
        while k < 64 {
            let symbol = self.symbol(ac)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => k += 16,
                (_, 0) => break,
                (zeros, size) => {
                    k += usize::from(zeros) + 1;
                    if k > 64 {
                        return Err(WRONG);
                    }
                    self.number(size)?;
                }
            }
        }
        Ok(())
    }

    fn number(&mut self, size: u8) -> Result<(), &'static str> {
        if size > 16 {
            return Err(WRONG);
        }
        self.take(size.into()).map(|_| ())
    }

    /// What a progressive scan says of one block.
    fn progressive(
        &mut self,
        scan: &Scan,
        (dc, ac): (Option<&Table>, Option<&Table>),
        nonzero: &mut Mask,
        run: &mut u32,
    ) -> Result<(), &'static str> {
        match (scan.first, scan.high) {
            (0, 0) => {
                let size = self.symbol(dc)?;
                self.number(size)
            }
            (0, _) => self.take(1).map(|_| ()),
            (_, 0) => self.first_bits(scan, ac, nonzero, run),
            _ => self.next_bits(scan, ac, nonzero, run),
        }
    }

    /// The high bits of a block's coefficients.
    fn first_bits(
        &mut self,
        scan: &Scan,
        ac: Option<&Table>,
        nonzero: &mut Mask,
        run: &mut u32,
    ) -> Result<(), &'static str> {
        if *run > 0 {
            *run -= 1;
            return Ok(());
        }
        let mut k = scan.first;
        while k <= scan.last {
            let symbol = self.symbol(ac)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => k += 16,
                (r, 0) => {
                    *run = (1 << r) - 1 + self.take(r.into())?;
                    break;
                }
                (zeros, size) => {
                    k += usize::from(zeros);
                    if k > scan.last {
                        return Err(WRONG);
                    }
                    self.number(size)?;
                    *nonzero |= 1 << k;
                    k += 1;
                }
            }
        }
        Ok(())
    }

    /// One more bit of those that are not zero, and those that become so.
    fn next_bits(
        &mut self,
        scan: &Scan,
        ac: Option<&Table>,
        nonzero: &mut Mask,
        run: &mut u32,
    ) -> Result<(), &'static str> {
        let mut k = scan.first;
        while *run == 0 && k <= scan.last {
            let symbol = self.symbol(ac)?;
            let (mut zeros, size) = (symbol >> 4, symbol & 15);
            if size == 0 && zeros < 15 {
                *run = (1 << zeros) + self.take(zeros.into())?;
                break;
            }
            if size > 0 {
                self.take(1)?;
            }
            while k <= scan.last {
                if *nonzero >> k & 1 == 1 {
                    self.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if size > 0 {
                if k > scan.last {
                    return Err(WRONG);
                }
                *nonzero |= 1 << k;
            }
            k += 1;
        }
        if *run > 0 {
            for k in k..=scan.last {
                if *nonzero >> k & 1 == 1 {
                    self.take(1)?;
                }
            }
            *run -= 1;
        }
        Ok(())
    }
}
