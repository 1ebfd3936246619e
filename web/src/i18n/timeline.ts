// Events. English, Chinese. {words} are filled in.

export const timelineTexts = {} as const;
