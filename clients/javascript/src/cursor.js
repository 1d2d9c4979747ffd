// @ts-check
/** Positions in a journal: `{epoch}-{seq}`, or `0` before the oldest event kept, in any epoch. */

/** @param {string | undefined} cursor @returns {[epoch: string, seq: number]} */
function parse(cursor = "0") {
  const cut = cursor.lastIndexOf("-");
  return cut < 0 ? ["", 0] : [cursor.slice(0, cut), Number(cursor.slice(cut + 1))];
}

/**
 * Whether who is at `known` has seen what is at `cursor`. Of another epoch nobody has seen anything.
 * @param {string | undefined} known
 * @param {string | undefined} cursor
 */
export function isPast(known, cursor) {
  const [epoch, seq] = parse(known);
  const [otherEpoch, otherSeq] = parse(cursor);
  return otherSeq === 0 || (epoch === otherEpoch && seq >= otherSeq);
}

/**
 * Whether what comes next after `before` leaves nothing out for who is at `known`.
 * @param {string | undefined} before
 * @param {string | undefined} known
 */
export function follows(before, known) {
  return before === known || (before !== undefined && known !== undefined && isPast(known, before));
}
