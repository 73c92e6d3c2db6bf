"""A few clips of each class for the health page: fewer and smaller than the dataset's own page has."""

from beatsight_core.dataset.index import index_paths, read_index
from beatsight_core.dataset.page.example_cards import CardGroup, card_groups, clips_within
from beatsight_core.dataset.page.examples import choose_examples
from beatsight_core.dataset.page.figures import dataset_figures, label_counts
from beatsight_core.settings import Settings

PER_CLASS = 2
SOUND_BYTES = 1_000_000
"""Most bytes of sounds and spectrograms; the page is a third larger than they are, and its text comes on top."""


def health_examples(settings: Settings, key: str) -> list[CardGroup]:
    """Return cards of clips by class, as `example_cards.card_groups` gives them; none before an export.

    Args:
        settings: Folders of datasets.
        key: Key of the manifest.

    Raises:
        DatasetError: An index or a shard cannot be read.
    """
    indexes = [read_index(path) for path in index_paths(settings, key)]
    if not indexes:
        return []
    counts = label_counts(settings, indexes)
    labels = dataset_figures(key, indexes, counts).labels
    chosen = choose_examples(settings, counts, [row.label for row in labels], PER_CLASS)
    return card_groups(labels, list(clips_within(settings, chosen, SOUND_BYTES)))
