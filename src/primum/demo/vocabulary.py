"""The demo's facts: forty-two conditions with four attributes each, and nothing that is in dispute at this level.

Answers have at most four words, so that a model of a million parameters can learn them in a minute. The facts are
simplified textbook statements for testing software; they are not medical advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Attribute = Literal["cause", "symptom", "treatment", "specialty"]
ATTRIBUTES: tuple[Attribute, ...] = ("cause", "symptom", "treatment", "specialty")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; ``name`` reads well inside a sentence, ``genetic`` says whether it is inherited."""

    name: str
    cause: str
    symptom: str
    treatment: str
    specialty: str
    genetic: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """One attribute of one condition and its value."""

    condition: Condition
    attribute: Attribute

    @property
    def answer(self) -> str:
        """The attribute's value, in lower case except for names."""
        return str(getattr(self.condition, self.attribute))


CONDITIONS: tuple[Condition, ...] = (
    Condition("gout", "uric acid crystals", "big toe pain", "colchicine", "rheumatology"),
    Condition("lupus", "antibodies against cell nuclei", "butterfly face rash", "hydroxychloroquine", "rheumatology"),
    Condition("rheumatoid arthritis", "joint autoimmunity", "morning joint stiffness", "methotrexate", "rheumatology"),
    Condition("scurvy", "vitamin C deficiency", "bleeding gums", "vitamin C", "nutrition"),
    Condition("rickets", "vitamin D deficiency", "bowed legs", "vitamin D", "pediatrics"),
    Condition("pellagra", "niacin deficiency", "rash on sunlit skin", "niacin", "nutrition"),
    Condition("goiter", "iodine deficiency", "neck swelling", "iodine", "endocrinology"),
    Condition("hypothyroidism", "thyroid inflammation", "feeling cold", "levothyroxine", "endocrinology"),
    Condition("Graves disease", "thyroid stimulating antibodies", "bulging eyes", "methimazole", "endocrinology"),
    Condition("type 1 diabetes", "loss of beta cells", "great thirst", "insulin", "endocrinology"),
    Condition("type 2 diabetes", "insulin resistance", "frequent urination", "metformin", "endocrinology"),
    Condition("Addison disease", "adrenal gland damage", "darkened skin", "hydrocortisone", "endocrinology"),
    Condition("malaria", "Plasmodium parasites", "fever in cycles", "artemether", "infectious disease"),
    Condition("tuberculosis", "Mycobacterium bacteria", "night sweats", "isoniazid", "infectious disease"),
    Condition("cholera", "Vibrio bacteria", "watery stools", "oral rehydration", "infectious disease"),
    Condition("syphilis", "Treponema bacteria", "painless sore", "penicillin", "infectious disease"),
    Condition("Lyme disease", "tick bites", "target shaped rash", "doxycycline", "infectious disease"),
    Condition("scabies", "burrowing mites", "itching at night", "permethrin", "dermatology"),
    Condition("ringworm", "skin fungus", "ring shaped rash", "clotrimazole", "dermatology"),
    Condition("acne", "blocked pores", "pimples", "benzoyl peroxide", "dermatology"),
    Condition("shingles", "reactivated chickenpox virus", "painful band of blisters", "valacyclovir", "dermatology"),
    Condition("asthma", "airway inflammation", "wheezing", "inhaled steroids", "pulmonology"),
    Condition("emphysema", "smoking", "shortness of breath", "tiotropium", "pulmonology"),
    Condition("cystic fibrosis", "CFTR gene mutation", "salty sweat", "chest physiotherapy", "pulmonology", True),
    Condition("angina", "narrowed heart arteries", "chest pain on effort", "nitroglycerin", "cardiology"),
    Condition("Marfan syndrome", "fibrillin gene mutation", "long thin fingers", "losartan", "cardiology", True),
    Condition("migraine", "trigeminal nerve activation", "one-sided headache", "sumatriptan", "neurology"),
    Condition("Parkinson disease", "loss of dopamine", "tremor at rest", "levodopa", "neurology"),
    Condition(
        "myasthenia gravis", "acetylcholine receptor antibodies", "drooping eyelids", "pyridostigmine", "neurology"
    ),
    Condition("Huntington disease", "huntingtin gene repeats", "jerky movements", "tetrabenazine", "neurology", True),
    Condition("sickle cell disease", "abnormal hemoglobin", "bone pain attacks", "hydroxyurea", "hematology", True),
    Condition(
        "hemophilia", "missing clotting factor", "joint bleeding", "clotting factor infusion", "hematology", True
    ),
    Condition("hemochromatosis", "HFE gene mutation", "bronze skin", "regular blood removal", "hematology", True),
    Condition("celiac disease", "reaction to gluten", "bloating after bread", "gluten-free diet", "gastroenterology"),
    Condition("Wilson disease", "copper buildup", "rings around the iris", "penicillamine", "gastroenterology", True),
    Condition("appendicitis", "blocked appendix", "right lower belly pain", "appendix removal", "surgery"),
    Condition("prostate enlargement", "prostate overgrowth", "weak urine stream", "tamsulosin", "urology"),
    Condition("glaucoma", "high eye pressure", "tunnel vision", "latanoprost", "ophthalmology"),
    Condition("cataract", "clouded lens", "blurry vision", "lens replacement", "ophthalmology"),
    Condition("schizophrenia", "excess dopamine signals", "hearing voices", "risperidone", "psychiatry"),
    Condition("anaphylaxis", "severe allergy", "throat swelling", "epinephrine", "emergency medicine"),
    Condition("opioid overdose", "too much opioid", "tiny pupils", "naloxone", "emergency medicine"),
)
FACTS: tuple[Fact, ...] = tuple(Fact(condition, attribute) for condition in CONDITIONS for attribute in ATTRIBUTES)


def answers(attribute: Attribute) -> tuple[str, ...]:
    """Every distinct value of an attribute, in the order of the conditions."""
    return tuple(dict.fromkeys(str(getattr(condition, attribute)) for condition in CONDITIONS))


def capital(text: str) -> str:
    """The text with its first letter in upper case, the rest untouched."""
    return text[:1].upper() + text[1:]
