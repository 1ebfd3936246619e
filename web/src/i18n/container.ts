// One container. English, Chinese. {words} are filled in.

export const containerTexts = {} as const;
