// The list of containers. English, Chinese. {words} are filled in.

export const overviewTexts = {} as const;
