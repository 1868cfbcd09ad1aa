import borex
from borex.media.read import read_map

initial = read_map("examples/coffee_rise.png")
explanation = borex.refine(None, "examples/coffee.jpg", initial)
print(explanation.summary())
explanation.save("coffee.png")
