//! A typed recovery phrase, as words.

export const WORDS = 12;

/** Lower case, one space between words: what somebody copied from paper or with numbers before the words. */
export function phraseOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/\d+[.)]?/g, " ")
    .replace(/[,;]/g, " ")
    .trim()
    .split(/\s+/u)
    .filter(Boolean)
    .join(" ");
}

/** Which words the user is asked for after writing the phrase down: `count` places, from 0, in order. */
export function askedPlaces(random: (below: number) => number, count = 3, words = WORDS): number[] {
  const places = new Set<number>();
  while (places.size < Math.min(count, words)) places.add(random(words));
  return [...places].sort((a, b) => a - b);
}
