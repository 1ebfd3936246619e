// Help: words and definitions. English, Chinese. {words} are filled in.

export const helpTexts = {} as const;
