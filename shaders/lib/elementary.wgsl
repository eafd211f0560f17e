// ln, sin and cos to about one unit in the last place: drivers are allowed errors that would make
// the same counter give different noise on different devices.

// ln x for positive normal x (Cephes logf): x = m 2^e with m in [sqrt(1/2), sqrt(2)).
fn ln(x: f32) -> f32 {
  let bits = bitcast<i32>(x) - 0x3f3504f3;
  let e = f32(bits >> 23u);
  let f = bitcast<f32>((bits & 0x7fffff) + 0x3f3504f3) - 1.0;
  let z = f * f;
  var y = 7.0376836292e-2;
  y = y * f - 1.1514610310e-1;
  y = y * f + 1.1676998740e-1;
  y = y * f - 1.2420140846e-1;
  y = y * f + 1.4249322787e-1;
  y = y * f - 1.6668057665e-1;
  y = y * f + 2.0000714765e-1;
  y = y * f - 2.4999993993e-1;
  y = y * f + 3.3333331174e-1;
  y = y * f * z - 2.12194440e-4 * e - 0.5 * z;
  return (f + y) + 0.693359375 * e;
}

// (cos 2πu, sin 2πu) for u in [0, 1): the nearest quarter turn is taken off exactly, then the
// polynomials of Cephes on [-π/4, π/4].
fn cos_sin_turn(u: f32) -> vec2<f32> {
  let quarter = floor(4.0 * u + 0.5);
  let x = (4.0 * u - quarter) * 1.5707963268;
  let z = x * x;
  let s = x + x * z * ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1);
  let c = 1.0 - 0.5 * z + z * z * ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2);
  let q = u32(quarter) & 3u;
  let turned = select(vec2(c, s), vec2(s, c), (q & 1u) == 1u);
  return turned * vec2(select(1.0, -1.0, q == 1u || q == 2u), select(1.0, -1.0, q >= 2u));
}
