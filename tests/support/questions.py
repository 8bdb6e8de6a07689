"""The language world's questions by their texts."""

from lessons.worlds.language.questions import all_questions

QUESTION_OF = {question.text: question for question in all_questions()}
