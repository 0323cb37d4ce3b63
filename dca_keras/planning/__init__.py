"""What a recipe says where nobody does: it follows the data, by rules.

`RULES` is the one table of them. `plan` applies it, and `markdown_table`
prints it for the documentation.
"""

from dca_keras.planning._plan import RULES as RULES
from dca_keras.planning._plan import Plan as Plan
from dca_keras.planning._plan import Rule as Rule
from dca_keras.planning._plan import markdown_table as markdown_table
from dca_keras.planning._plan import plan as plan
from dca_keras.planning._plan import plan_recipe as plan_recipe
