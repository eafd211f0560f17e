// The softmax over the classes of a position, from logits [n, classes, positions].

#expects var p
#expects var logits

// The logits of position i: from `first` to `end`, `positions` apart, the largest, and the sum of their
// exponentials by it.
struct Column { first: u32, end: u32, largest: f32, sum: f32 }

fn column_of(i: u32) -> Column {
  let n = i / p.positions;
  let first = n * p.classes * p.positions + (i - n * p.positions);
  let end = first + p.classes * p.positions;
  var largest = logits[first];
  for (var at = first + p.positions; at < end; at += p.positions) {
    largest = max(largest, logits[at]);
  }
  var sum = 0.0;
  for (var at = first; at < end; at += p.positions) {
    sum += exp(logits[at] - largest);
  }
  return Column(first, end, largest, sum);
}
