"""A text to be said again with one word changed: what speculation from n-grams is best at."""

from __future__ import annotations

STORY = (
    "The lighthouse keeper woke before dawn and climbed the narrow stairs to the lamp. The sea was calm, "
    "and a thin mist lay over the rocks below. He cleaned the glass with a soft cloth, trimmed the wick, "
    "and wrote the weather in his book. Far out, a small boat moved slowly toward the harbour, its brown "
    "sail hanging loose. The keeper knew the boat well: it belonged to Anna, who sold fish in the market "
    "every morning and who always waved when she passed. He waved back and put the kettle on the stove. "
    "When the water boiled he made tea, cut two slices of bread, and sat down by the window. A gull "
    "landed on the rail outside and looked at him with one yellow eye. He laughed and threw it a crust. "
    "By eight o'clock the mist was gone and the whole bay shone like metal. Children ran along the beach, "
    "shouting to each other, and an old dog followed them as fast as it could. The keeper took his "
    "telescope and counted the ships on the horizon. There were seven, more than he had seen in a week. "
    "One of them, a tall ship with three masts, flew a flag he did not know. He looked it up in his book "
    "of flags, page after page, but could not find it. In the afternoon he walked down to the village to "
    "buy paper, oil and a new pair of boots. The shopkeeper asked him about the strange ship, and he said "
    "that he had no idea where it came from. On the way home he met Anna, who gave him a basket of "
    "mussels and told him that the ship had come for the lamp. He did not understand her, and she would "
    "not say more. That night he lit the lamp as always, but he did not sleep. Toward midnight the wind "
    "turned, and rain began to beat against the panes. He heard oars, then voices, then the scrape of "
    "wood on stone. Somebody knocked three times at the door below, waited for as long as it takes to "
    "count to ten, and knocked again. The keeper put on his coat, took the lantern from its hook, and "
    "went down the narrow stairs, one by one, to open."
)
AGAIN = (
    "Here is a text.\n\n" + STORY + "\n\nHere is the same text again, with 'woke' changed to 'rose'.\n\n"
    "The lighthouse keeper rose before"
)
"""The beginning of the answer has the change, so that its first words are found nowhere else."""
