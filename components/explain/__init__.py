"""Why a sample was or was not picked: what the explanations of all strategies have in common."""
