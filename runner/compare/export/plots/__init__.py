"""The pictures of a report, one a file: each takes a comparison and a width in CSS pixels and gives an SVG
element, or None where the comparison has nothing to show."""
