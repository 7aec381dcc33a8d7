// What /metrics says between two looks: rates and quantiles, out of counters and histograms that only grow.

/** The samples of Prometheus' text: name -> [{labels, value}]. */
export function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)/i.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}

/** The sum of a measure's samples whose labels pass. */
export const sum = (samples, name, passes = () => true) =>
  (samples.get(name) || []).filter(({ labels }) => passes(labels)).reduce((total, { value }) => total + value, 0);

/** The sums of a measure by one label. */
export function by(samples, name, label) {
  const sums = new Map();
  for (const { labels, value } of samples.get(name) || []) sums.set(labels[label], (sums.get(labels[label]) || 0) + value);
  return sums;
}

/** A quantile of what a histogram counted since `before`; null where it counted nothing. Linear inside a bucket. */
export function quantile(now, before, name, share) {
  const older = before ? by(before, `${name}_bucket`, "le") : new Map();
  const buckets = [...by(now, `${name}_bucket`, "le")].map(([le, value]) => [le === "+Inf" ? Infinity : Number(le), value - (older.get(le) || 0)]).sort((a, b) => a[0] - b[0]);
  const total = buckets.length ? buckets.at(-1)[1] : 0;
  if (total <= 0) return null;
  let [from, under] = [0, 0];
  for (const [le, value] of buckets) {
    if (value >= share * total) return le === Infinity ? from : from + ((le - from) * (share * total - under)) / (value - under || 1);
    [from, under] = [le, value];
  }
  return from;
}
