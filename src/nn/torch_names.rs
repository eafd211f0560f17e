//! What tensors are called in limn and in PyTorch: alike, but for weights that are normalised, of
//! which PyTorch keeps the parts under the names of their parametrisations.

use std::collections::HashSet;

/// What PyTorch calls a tensor of a model that has all of these: a weight under spectral norm is
/// `parametrizations.weight.original` with estimates `0._u` and `0._v`, one under weight norm has
/// its length in `original0` and its direction in `original1`.
pub(crate) fn in_pytorch(name: &str, all: &HashSet<&str>) -> String {
    let Some((stem, part)) = name.rsplit_once('.') else { return name.into() };
    let has = |part: &str| all.contains(format!("{stem}.{part}").as_str());
    let part = match part {
        "weight" if has("weight_u") => "original",
        "weight_u" => "0._u",
        "weight_g" => "original0",
        "weight_v" if has("weight_g") => "original1",
        "weight_v" => "0._v",
        _ => return name.into(),
    };
    format!("{stem}.parametrizations.weight.{part}")
}

/// What limn calls a tensor of a state dict: [`in_pytorch`] turned around, and the names that
/// PyTorch's older `spectral_norm` and `weight_norm` give; without what `DataParallel` and
/// `compile` put before them.
pub(crate) fn in_limn(name: &str) -> String {
    let name = WRAPPED.iter().fold(name, |name, prefix| name.strip_prefix(prefix).unwrap_or(name));
    const PARTS: [(&str, &str); 6] = [
        (".parametrizations.weight.original", ".weight"),
        (".parametrizations.weight.0._u", ".weight_u"),
        (".parametrizations.weight.0._v", ".weight_v"),
        (".parametrizations.weight.original0", ".weight_g"),
        (".parametrizations.weight.original1", ".weight_v"),
        (".weight_orig", ".weight"),
    ];
    let known = PARTS.iter().find_map(|(torch, limn)| Some(format!("{}{limn}", name.strip_suffix(torch)?)));
    known.unwrap_or_else(|| name.into())
}

/// What stands before the names of a module in another.
const WRAPPED: [&str; 2] = ["_orig_mod.", "module."];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_pytorch_and_back() {
        let all: HashSet<&str> =
            ["a.0.weight", "a.0.weight_u", "a.0.weight_v", "b.weight_v", "b.weight_g", "b.bias", "c.weight", "d"]
                .into();
        let pairs = [
            ("a.0.weight", "a.0.parametrizations.weight.original"),
            ("a.0.weight_u", "a.0.parametrizations.weight.0._u"),
            ("a.0.weight_v", "a.0.parametrizations.weight.0._v"),
            ("b.weight_g", "b.parametrizations.weight.original0"),
            ("b.weight_v", "b.parametrizations.weight.original1"),
            ("b.bias", "b.bias"),
            ("c.weight", "c.weight"),
            ("d", "d"),
        ];
        for (limn, torch) in pairs {
            assert_eq!((in_pytorch(limn, &all).as_str(), in_limn(torch).as_str()), (torch, limn));
        }
        assert_eq!(in_limn("a.0.weight_orig"), "a.0.weight");
        assert_eq!(in_limn("_orig_mod.module.fc1.weight"), "fc1.weight");
    }
}
